#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/netns/fake_agent.h"
#include "tests/support/netns_harness.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {

// weft-proxy as it runs on a node, fed by a FakeAgent, without the kernel half: where sk_lookup would hand a
// connection to a listener, the listener is simply bound to the address.
//
//   proxy netns            pod netns "dev/app"                                outside netns
//   weft-proxy             lo    10.9.1.2  (remote server)                    10.9.0.1
//                          eth0  10.9.0.2  (the pod) -------- veth ---------- fd09::1
//                                fd09::2
//
//   10.96.0.1:80, [fd96::1]:80   service "server": captured by the mark, endpoint 10.9.1.2:7000,
//   [fd09:1::2]:7000 10.96.0.2:80                 service "empty", without endpoints 10.96.0.3:80 service
//   "dead", its endpoint 10.9.1.2:7001 is closed 10.96.0.4:80                 service "http" with a route
//   table, endpoint 10.9.1.2:7000
class ProxyWorld {
 public:
  static constexpr uint32_t kMark = 0x77;

  explicit ProxyWorld(const std::vector<std::string>& extra_flags = {});
  ~ProxyWorld();

  [[nodiscard]] pid_t proxy() const { return proxy_; }
  [[nodiscard]] const Netns& pod() const { return pod_; }
  [[nodiscard]] const Netns& outside() const { return outside_; }
  [[nodiscard]] FakeAgent& agent() { return *agent_; }
  [[nodiscard]] static model::Snapshot snapshot(uint64_t version);
  void publish(const model::Snapshot& snapshot);

  // What the application in the pod does: the hooks would set the mark.
  [[nodiscard]] base::Fd connect_captured(const std::string& address);
  [[nodiscard]] base::Fd connect_from_outside(const std::string& address);
  [[nodiscard]] base::Fd listen_in_pod(const std::string& address);

  // The answer of one of the proxy's own ports ("15020", "/metrics").
  [[nodiscard]] std::string ask(const std::string& port, const std::string& path,
                                const std::string& method = "GET");
  // Whether a port comes to say this. The proxy counts after it has acted, so what a peer feels may be ahead.
  [[nodiscard]] testing::AssertionResult says(const std::string& port, const std::string& path,
                                              const std::string& text);
  [[nodiscard]] testing::AssertionResult counts(const std::string& line) {
    return says("15000", "/stats", line + "\n");
  }
  [[nodiscard]] std::string access_log();
  // Ends the proxy by SIGTERM; its exit code.
  int end_proxy();
  [[nodiscard]] bool ended() const { return proxy_ < 0; }
  [[nodiscard]] bool alive() const;

 private:
  void add_captured(const std::string& address, model::ListenerKind kind);
  void start_proxy(const std::vector<std::string>& extra_flags);

  ScratchDir directory_;
  Netns proxy_netns_, pod_, outside_;
  std::unique_ptr<FakeAgent> agent_;
  pid_t proxy_ = -1;
};

// Blocking helpers for the test's own sockets.
void send_all(int fd, std::string_view bytes);
[[nodiscard]] std::string read_to_end(int fd);  // throws std::runtime_error("reset") on RST
[[nodiscard]] base::Fd accept_one(int listener);

}  // namespace weft::test
