// What a pod leaves out of the mesh, in both directions. Topology: world.h.
#include <netinet/in.h>

#include "bpf/decide/exclude.h"
#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Exclusion : public PodsTest {
 protected:
  void exclude_port(uint16_t port) {
    weft_exclusion_key key;
    weft_exclusion_of_port(client.entry.pod_id, port, &key);
    world.hooks.put("exclusions", key, weft_exclusion{client.entry.pod_id});
    add_client_flags(WEFT_POD_EXCLUDES_CALLS);
  }
  void exclude_range(const std::string& text) {
    const base::Cidr range = *base::Cidr::parse(text);
    const weft_address address = to_abi(range.address);
    weft_exclusion_key key;
    weft_exclusion_of_address(client.entry.pod_id, &address, &key);
    key.prefix_length = WEFT_EXCLUSION_FIXED_BITS + range.prefix_length;
    world.hooks.put("exclusions", key, weft_exclusion{client.entry.pod_id});
    add_client_flags(WEFT_POD_EXCLUDES_CALLS);
  }
  void exclude_arrival(const TestPod& pod, uint16_t port) {
    const weft_address address = to_abi(pod.address(speech()));
    weft_exclusion_key key;
    weft_exclusion_of_arrival(&address, port, &key);
    world.hooks.put("exclusions", key, weft_exclusion{0});
  }
  [[nodiscard]] std::string range_of_all() const { return speech() == Speech::kV6 ? "::/0" : "0.0.0.0/0"; }
  // The call reaches the stranger itself, though its address is a remote workload's.
  [[nodiscard]] bool goes_straight(uint16_t port) const {
    const base::Fd app = app_at(stranger, port);
    const Dialled call = dial_from(client, stranger.at(speech(), port));
    return call.error == 0 && mark_of(call.socket.get()) == 0 && accept_from(app.get()).valid();
  }
  [[nodiscard]] bool goes_to_the_proxy(uint16_t port) const {
    const Dialled call = dial_from(client, stranger.at(speech(), port));
    return call.error == 0 && accept_at(client, outbound()).valid();
  }
  [[nodiscard]] uint64_t excluded(weft_exclusion_counter counter) const {
    return world.hooks.excluded(counter);
  }
  [[nodiscard]] uint64_t all_excluded() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WEFT_EXCLUSION_COUNTER_COUNT; ++i)
      sum += excluded(static_cast<weft_exclusion_counter>(i));
    return sum;
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Exclusion, kEveryCase, name_of_case);

TEST_P(Exclusion, AnEntryWithoutItsFlagChangesNothing) {
  make_stranger_remote();
  exclude_port(8080);
  exclude_arrival(server, 8080);
  world.set_flags(client, client.entry.flags & ~uint32_t{WEFT_POD_EXCLUDES_CALLS});
  add_server_flags(WEFT_POD_STRICT);
  EXPECT_TRUE(goes_to_the_proxy(8080));
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_at(server, refusing()));
  EXPECT_EQ(all_excluded(), 0U);
}

TEST_P(Exclusion, ACallToAnExcludedPortGoesAroundAndOthersDoNot) {
  make_stranger_remote();
  exclude_port(8080);
  EXPECT_TRUE(goes_straight(8080));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_port), 1U);
  EXPECT_TRUE(goes_to_the_proxy(8081));
  EXPECT_EQ(all_excluded(), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_connect_unknown), 0U) << "counted as what it is, and once";
}

TEST_P(Exclusion, ACallIntoAnExcludedRangeGoesAroundAndThoseToOtherAddressesDoNot) {
  make_stranger_remote();
  exclude_range(speech() == Speech::kV6 ? "fd77::3/128" : "10.77.0.3/32");
  EXPECT_TRUE(goes_straight(8080));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_range), 1U);
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  EXPECT_EQ(dial_from(client, vip()).error, 0);
  EXPECT_TRUE(accept_at(client, outbound()));
  EXPECT_EQ(all_excluded(), 1U);
}

TEST_P(Exclusion, ARangeHoldsItsOwnFamilyOnly) {
  make_stranger_remote();
  exclude_range(speech() == Speech::kV6 ? "0.0.0.0/0" : "::/0");
  EXPECT_TRUE(goes_to_the_proxy(8080));
  EXPECT_EQ(all_excluded(), 0U);
}

TEST_P(Exclusion, AnExcludedServiceIsLeftToTheClustersOwnTranslation) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  exclude_range(range_of_all());
  const base::Fd app = app_at(server, 8080);
  EXPECT_NE(dial_from(client, vip(), kNoAnswer).error, 0) << "nobody translates here";
  EXPECT_FALSE(accept_from(app.get(), std::chrono::milliseconds(50)));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_range), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_connect_direct_service), 0U);
}

TEST_P(Exclusion, TheAgentsSelfTestIsNeverLeftOut) {
  const base::SocketAddress test{address_of(speech() == Speech::kV6 ? "2001:db8::1" : "192.0.2.1"), 15021};
  world.put_service(test, IPPROTO_TCP, WEFT_SERVICE_SELF_TEST, {});
  exclude_range(range_of_all());
  exclude_port(15021);
  EXPECT_EQ(dial_from(client, test).error, 0);
  EXPECT_TRUE(accept_at(client, outbound()));
  EXPECT_EQ(all_excluded(), 0U);
}

TEST_P(Exclusion, ASocketThatIsUsedAgainLosesItsMark) {
  make_stranger_remote();
  exclude_port(8080);
  const Dialled call = dial_from(client, stranger.at(speech(), 8081));
  ASSERT_EQ(call.error, 0);
  ASSERT_TRUE(accept_at(client, outbound()));
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  ASSERT_EQ(::connect(call.socket.get(), &nobody, sizeof nobody), 0);
  const base::Fd app = app_at(stranger, 8080);
  EXPECT_EQ(connect_again(call.socket.get(), speech(), stranger.at(speech(), 8080)), 0);
  EXPECT_EQ(mark_of(call.socket.get()), 0U);
  EXPECT_TRUE(accept_from(app.get()));
}

TEST_P(Exclusion, WhomNobodyProvesComesInAtAnExcludedPortOfAStrictPodAndAtNoOther) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_HAS_POLICY | WEFT_POD_INBOUND_PROXY |
                   WEFT_POD_EXCLUDES_ARRIVALS);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 9);
  exclude_arrival(server, 8080);
  const base::Fd app = app_at(server, 8080), other = app_at(server, 8081);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_arrival), 1U);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8081)).error, 0);
  EXPECT_TRUE(accept_at(server, refusing()));
  EXPECT_FALSE(accept_from(other.get(), std::chrono::milliseconds(50)));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_arrival), 1U);
}

TEST_P(Exclusion, PortZeroMeansEveryPortButTheMeshsOwn) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_EXCLUDES_ARRIVALS);
  exclude_arrival(server, 0);
  const base::Fd app = app_at(server, 8081);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8081)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(dial_from(stranger, server.at(speech(), WEFT_HBONE_PORT)).error, 0);
  EXPECT_TRUE(accept_at(server, inbound()));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_arrival), 1U);
}

TEST_P(Exclusion, CallersLeaveOutWhatTheCalledPodLeavesOut) {
  world.put_workload(stranger.address(speech()), {.identity = 103,
                                                  .namespace_id = 13,
                                                  .flags = WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_EXCLUDES,
                                                  .pod_id = 0});
  exclude_arrival(stranger, 8080);
  EXPECT_TRUE(goes_straight(8080));
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_by_callee), 1U);
  EXPECT_TRUE(goes_to_the_proxy(8081));
  EXPECT_EQ(all_excluded(), 1U);
}

TEST_P(Exclusion, AServiceGoesStraightToABackendThatLeavesItsPortOutPastItsPolicy) {
  weft_backend out = server_at(8080);
  out.flags = WEFT_WORKLOAD_LOCAL | WEFT_WORKLOAD_EXCLUDES;
  world.put_service(vip(), IPPROTO_TCP, 0, {out});
  show_server_policy(WEFT_WORKLOAD_HAS_POLICY | WEFT_WORKLOAD_EXCLUDES);
  add_server_flags(WEFT_POD_HAS_POLICY | WEFT_POD_TLS_SAME_NODE | WEFT_POD_EXCLUDES_ARRIVALS);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 9);
  exclude_arrival(server, 8080);
  const base::Fd app = app_at(server, 8080);
  const Dialled call = dial_from(client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_by_callee), 1U);
  EXPECT_EQ(excluded(WEFT_COUNTER_excluded_arrival), 1U);
}

}  // namespace
}  // namespace weft::test
