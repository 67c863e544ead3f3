#pragma once
// A node with a few pods, armed as the agent would arm them. Addresses end in .N and ::N for pod N:
//
//                     node: bridge cni0 10.77.0.254, fd77::fe
//          +---------------------+----------------------+
//   client 10.77.0.1        server 10.77.0.2       stranger 10.77.0.3
//   enrolled, identity 101  enrolled, identity 102  not enrolled, no hook knows it
//   namespace 11            namespace 12
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tests/bpf/hooks.h"
#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/fd.h"

namespace weft::test {

// How an application speaks: its socket's family and the addresses it uses.
enum class Speech { kV4, kV6, kV4Mapped };

// A socket and what connect() said in the end: 0, an errno, or ETIMEDOUT when it did not answer in time.
struct Dialled {
  base::Fd socket;
  int error = 0;
};

class TestPod {
 public:
  TestPod(NodeNet& node, const Cgroup& pods, int number);
  [[nodiscard]] const Netns& netns() const { return netns_; }
  // Where the pod's processes run.
  [[nodiscard]] Place place() const { return {.netns = &netns_, .cgroup = pods_}; }
  [[nodiscard]] base::Address address(Speech speech) const;
  [[nodiscard]] base::SocketAddress at(Speech speech, uint16_t port) const { return {address(speech), port}; }
  [[nodiscard]] const std::string& v4() const { return v4_; }
  [[nodiscard]] const std::string& v6() const { return v6_; }

  weft_pod entry{};  // written by World::write()
  // By enum weft_listener.
  std::array<base::Fd, WEFT_LISTENERS_PER_POD> listeners;

 private:
  Netns netns_;
  const Cgroup* pods_;
  std::string v4_, v6_;
};

class World {
 public:
  explicit World(const HookOptions& options = {});

  // Listeners, link, route, rule, entry, marking: the order of the agent.
  void arm(TestPod& pod, uint32_t more_flags = 0);
  // Writes pod.entry.
  void write(const TestPod& pod);
  void set_flags(TestPod& pod, uint32_t flags);
  void close_listener(TestPod& pod, weft_listener listener) { pod.listeners[listener].reset(); }
  void put_workload(const base::Address& address, const weft_workload& workload);
  // A service with these backends under a new generation: staged, then flipped. Returns its id.
  uint32_t put_service(const base::SocketAddress& address, int protocol, uint32_t flags,
                       const std::vector<weft_backend>& backends, uint32_t affinity_seconds = 0);
  [[nodiscard]] weft_tuple tuple_of(int connected_socket) const;

  Cgroup pods_cgroup{"pods"};
  Cgroup agent_cgroup{pods_cgroup, "agent"};
  Hooks hooks;
  NodeNet node{{"10.77.0.254/24", "fd77::fe/64"}};
  TestPod client{node, pods_cgroup, 1}, server{node, pods_cgroup, 2}, stranger{node, pods_cgroup, 3};
  uint32_t mark;

 private:
  [[nodiscard]] std::string loop_commands(const TestPod& pod) const;

  std::map<base::SocketAddress, uint32_t> service_ids_;
  uint32_t generation_ = 0;
};

// Sockets as programs make them.
[[nodiscard]] base::Fd listen_at(const Place& place, const base::SocketAddress& address,
                                 bool transparent = false);
[[nodiscard]] Dialled dial(const Place& place, Speech speech, const base::SocketAddress& to,
                           std::chrono::milliseconds limit = std::chrono::seconds(3),
                           const std::function<void(int)>& before = {});
[[nodiscard]] int connect_again(int socket, Speech speech, const base::SocketAddress& to,
                                std::chrono::milliseconds limit = std::chrono::seconds(3));
// Waits a little for a connection; an invalid Fd if none came.
[[nodiscard]] base::Fd accept_from(int listener, std::chrono::milliseconds limit = std::chrono::seconds(3));
// Closes with a reset, as the proxy does with what it refuses.
void reset_connection(base::Fd connection);
// "" unless all bytes sent at one end came out of the other, both ways.
[[nodiscard]] std::string exchange(int a, int b);
[[nodiscard]] uint32_t mark_of(int socket);
[[nodiscard]] socklen_t to_sockaddr(Speech speech, const base::SocketAddress& address, sockaddr_storage* out);
[[nodiscard]] base::SocketAddress peer_of(int socket);
[[nodiscard]] base::SocketAddress name_of(int socket);

[[nodiscard]] base::Address address_of(const std::string& text);
[[nodiscard]] weft_backend backend(const base::SocketAddress& to, uint16_t workload_flags = 0,
                                   uint32_t pod_id = 0);

}  // namespace weft::test
