#pragma once
// The fixture of all journeys: client and server armed, each test once per way to speak and per kind of
// kernel.
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "tests/bpf/world.h"

namespace weft::test {

struct Case {
  Speech speech;
  bool has_ifindex;  // false: the code for kernels before 5.17, run on this one
};

inline std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  const char* names[] = {"V4", "V6", "V4Mapped"};
  return std::string(names[static_cast<int>(info.param.speech)]) +
         (info.param.has_ifindex ? "" : "WithoutIfindex");
}

inline const auto kEveryCase =
    testing::Values(Case{Speech::kV4, true}, Case{Speech::kV6, true}, Case{Speech::kV4Mapped, true},
                    Case{Speech::kV4, false}, Case{Speech::kV6, false});

inline const auto kEverySpeech =
    testing::Values(Case{Speech::kV4, true}, Case{Speech::kV6, true}, Case{Speech::kV4Mapped, true});

class PodsTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr auto kNoAnswer = std::chrono::milliseconds(900);  // as long as a dropped SYN is waited for

  void SetUp() override {
    world.arm(client);
    world.arm(server);
  }

  [[nodiscard]] Speech speech() const { return GetParam().speech; }
  // A service address of this way to speak.
  [[nodiscard]] base::SocketAddress vip(uint16_t port = 80) const {
    return {address_of(speech() == Speech::kV6 ? "fd96::1" : "10.96.0.1"), port};
  }
  [[nodiscard]] Dialled dial_from(const TestPod& pod, const base::SocketAddress& to,
                                  std::chrono::milliseconds limit = std::chrono::seconds(3),
                                  const std::function<void(int)>& before = {}) const {
    return dial(pod.place(), speech(), to, limit, before);
  }
  [[nodiscard]] base::Fd app_at(const TestPod& pod, uint16_t port) const {
    return listen_at(pod.place(), pod.at(speech(), port));
  }
  [[nodiscard]] weft_listener outbound() const {
    return speech() == Speech::kV6 ? WEFT_LISTENER_OUTBOUND6 : WEFT_LISTENER_OUTBOUND4;
  }
  [[nodiscard]] weft_listener inbound() const {
    return speech() == Speech::kV6 ? WEFT_LISTENER_INBOUND6 : WEFT_LISTENER_INBOUND4;
  }
  [[nodiscard]] weft_listener attested() const {
    return speech() == Speech::kV6 ? WEFT_LISTENER_ATTESTED6 : WEFT_LISTENER_ATTESTED4;
  }
  [[nodiscard]] weft_listener refusing() const {
    return speech() == Speech::kV6 ? WEFT_LISTENER_REFUSE6 : WEFT_LISTENER_REFUSE4;
  }
  [[nodiscard]] base::Fd accept_at(const TestPod& pod, weft_listener listener,
                                   std::chrono::milliseconds limit = std::chrono::seconds(3)) const {
    return accept_from(pod.listeners[listener].get(), limit);
  }
  // The server pod as a backend.
  [[nodiscard]] weft_backend server_at(uint16_t port) const {
    return backend(server.at(speech(), port), WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL,
                   server.entry.pod_id);
  }
  [[nodiscard]] weft_backend stranger_at(uint16_t port) const { return backend(stranger.at(speech(), port)); }
  // Makes the stranger's address an enrolled workload of another node.
  void make_stranger_remote() {
    world.put_workload(stranger.address(speech()),
                       {.identity = 103, .namespace_id = 13, .flags = WEFT_WORKLOAD_ENROLLED, .pod_id = 0});
  }
  // How connect() alone sees the server: with these policy flags.
  void show_server_policy(uint32_t flags) {
    world.put_workload(server.address(speech()),
                       {.identity = server.entry.identity,
                        .namespace_id = server.entry.namespace_id,
                        .flags = WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL | flags,
                        .pod_id = server.entry.pod_id,
                        .policy_kinds = UINT32_MAX});
  }
  void put_rule(weft_rule_action action, weft_subject subject, uint16_t port, uint32_t rule_id,
                uint32_t id = 0) {
    weft_policy_key key{};
    const bool by_id = subject == WEFT_SUBJECT_IDENTITY || subject == WEFT_SUBJECT_NAMESPACE;
    key.prefix_length = WEFT_POLICY_FIXED_BITS + (by_id ? 32 : 0);
    key.pod_id = server.entry.pod_id;
    key.action = static_cast<uint8_t>(action);
    key.subject = static_cast<uint8_t>(subject);
    key.port = port;
    std::memcpy(key.value.bytes, &id, sizeof id);
    add_entry(key, rule_id);
  }
  void put_cidr_rule(weft_rule_action action, const base::Cidr& cidr, uint16_t port, uint32_t rule_id) {
    weft_policy_key key{};
    key.prefix_length = WEFT_POLICY_FIXED_BITS + cidr.prefix_length;
    key.pod_id = server.entry.pod_id;
    key.action = static_cast<uint8_t>(action);
    key.subject = WEFT_SUBJECT_ADDRESS;
    key.port = port;
    key.value = to_abi(cidr.address);
    add_entry(key, rule_id);
  }
  // The pod's entry says which kinds there are, as the agent has it.
  void add_entry(const weft_policy_key& key, uint32_t rule_id) {
    world.hooks.put("policy", key, weft_policy{rule_id});
    server.entry.policy_kinds |= WEFT_POLICY_KIND(key.action, key.subject, key.port);
    world.write(server);
  }
  void add_server_flags(uint32_t flags) { world.set_flags(server, server.entry.flags | flags); }
  void add_client_flags(uint32_t flags) { world.set_flags(client, client.entry.flags | flags); }
  [[nodiscard]] uint64_t count(weft_counter counter) const { return world.hooks.count(counter); }

  World world{HookOptions{.has_ifindex = GetParam().has_ifindex}};
  TestPod& client = world.client;
  TestPod& server = world.server;
  TestPod& stranger = world.stranger;
};

}  // namespace weft::test
