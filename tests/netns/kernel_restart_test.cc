// A loader process is killed while connections run through its hooks.
//
//   client 10.88.0.1, fd88::1 ---- bridge ---- server 10.88.0.2, fd88::2     service 10.96.0.1:80 ->
//   server:8080
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "agent/kernel/events.h"
#include "tests/netns/kernel_fixture.h"
#include "tests/support/compile_fixture.h"
#include "tests/support/policy_builders.h"

namespace weft::kernel {
namespace {

using compile::endpoint;

constexpr uint16_t kPort = 8080;
constexpr const char* kClient = "10.88.0.1";
constexpr const char* kServer = "10.88.0.2";
constexpr const char* kService = "10.96.0.1";

class Restart : public KernelTest {
 protected:
  Restart() : node_({"10.88.0.254/24"}) {
    node_.attach(client_, {std::string(kClient) + "/24"});
    node_.attach(server_, {std::string(kServer) + "/24"});
    listener_ = test::value_inside({.netns = &server_}, [] {
      base::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage address{};
      const socklen_t size = base::SocketAddress{compile::address("0.0.0.0"), kPort}.to_sockaddr(&address);
      if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd.get(), 64) != 0)
        fd.reset();
      return fd;
    });
    const uint32_t client = compile::add_workload(snapshot_, "client", {kClient}, "curl");
    const uint32_t server = compile::add_workload(snapshot_, "server", {kServer}, "httpgo");
    compile::add_local_pod(snapshot_, client);
    compile::add_local_pod(snapshot_, server);
    compile::add_service(snapshot_, "web", {kService}, {endpoint(kServer, kPort, server)});
  }

  // What main and enrol do at a start, in short.
  base::Status load(Kernel& kernel) {
    compile::Ids ids = compile::Ids::recover(kernel.current());
    TRY(kernel.sync(compile::compile(snapshot_, ids)));
    const std::map<std::string, const test::Netns*> places{{"uid-client", &client_},
                                                           {"uid-server", &server_}};
    for (const auto& [uid, netns] : places) {
      weft_pod pod = kernel.current().pods.at(uid);
      pod.flags |= WEFT_POD_ENROLLED | WEFT_POD_MARKING;
      TRY(kernel.put_pod(netns->cookie(), pod));
      TRY(kernel.attach_pod(netns->cookie(), netns->fd()));
    }
    return {};
  }

  // A connected pair through the service address; both ends invalid if the connect failed (errno in `why`).
  struct Pair {
    base::Fd client, server;
    int why = 0;
  };
  Pair connect_to_service() {
    Pair pair;
    test::inside({.netns = &client_, .cgroup = &cgroup_}, [&] {
      pair.client = base::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage address{};
      const socklen_t size = base::SocketAddress{compile::address(kService), 80}.to_sockaddr(&address);
      timeval limit{.tv_sec = 3, .tv_usec = 0};
      setsockopt(pair.client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
      setsockopt(pair.client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      if (connect(pair.client.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) pair.why = errno;
    });
    if (pair.why == 0) pair.server = base::Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return pair;
  }

  static bool echo(const Pair& pair) {
    char byte = 'w';
    if (send(pair.client.get(), &byte, 1, 0) != 1 || recv(pair.server.get(), &byte, 1, 0) != 1) return false;
    return send(pair.server.get(), &byte, 1, 0) == 1 && recv(pair.client.get(), &byte, 1, 0) == 1;
  }

  [[nodiscard]] uint64_t counted(weft_counter counter) const { return (*kernel_->counters())[counter].value; }

  test::NodeNet node_;
  test::Netns client_, server_;
  base::Fd listener_;
  model::Snapshot snapshot_;
};

TEST_F(Restart, ConnectionsRunOnAndNewOnesComeThroughWhileTheLoaderIsKilledAndFollowed) {
  test::Child loader({}, [&] {
    auto kernel = Kernel::open(options_);
    if (kernel && load(**kernel)) std::ofstream(private_bpffs() + "-ready") << "ready";
    pause();
    return std::string();
  });
  for (int i = 0; i < 200 && !std::filesystem::exists(private_bpffs() + "-ready"); ++i) usleep(20000);
  ASSERT_TRUE(std::filesystem::exists(private_bpffs() + "-ready"));
  const Pair early = connect_to_service();
  ASSERT_EQ(early.why, 0) << strerror(early.why);
  EXPECT_EQ(base::peer_address(early.server.get())->address, compile::address(kClient));
  EXPECT_EQ(base::peer_address(early.client.get())->to_string(), std::string(kService) + ":80");

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> round_trips = 0, broken = 0;
  std::thread traffic([&] {
    for (; !stop; usleep(200)) ++(echo(early) ? round_trips : broken);
  });
  loader.kill();
  const Pair orphan = connect_to_service();
  EXPECT_EQ(orphan.why, 0) << "the hooks decide without an agent";
  EXPECT_TRUE(echo(orphan));
  start();
  EXPECT_EQ(kernel_->start(), Start::kReused);
  ASSERT_TRUE(load(*kernel_));
  const Pair late = connect_to_service();
  EXPECT_EQ(late.why, 0);
  // An upgrade, too: another mark is other programs.
  options_.mark = 0x02000000;
  start();
  EXPECT_EQ(kernel_->start(), Start::kUpgraded);
  const Pair upgraded = connect_to_service();
  EXPECT_EQ(upgraded.why, 0);
  stop = true;
  traffic.join();
  EXPECT_GT(round_trips, 100U);
  EXPECT_EQ(broken, 0U);
  for (const Pair* pair : {&early, &orphan, &late, &upgraded}) EXPECT_TRUE(echo(*pair));
  EXPECT_EQ(counted(WEFT_COUNTER_connect_direct_service), 4U);
  EXPECT_EQ(counted(WEFT_COUNTER_lookup_to_app_attested), 4U) << "the counters went on counting, too";
}

TEST_F(Restart, ARemovedEndpointIsFeltByTheNextConnectAndNotByTheLastOne) {
  start();
  ASSERT_TRUE(load(*kernel_));
  const Pair before = connect_to_service();
  ASSERT_EQ(before.why, 0);
  snapshot_.clusters[0].endpoints.clear();
  ASSERT_TRUE(load(*kernel_));
  EXPECT_EQ(connect_to_service().why, ECONNREFUSED);
  EXPECT_TRUE(echo(before));
  snapshot_.clusters[0].endpoints = {endpoint(kServer, kPort, 1)};
  ASSERT_TRUE(load(*kernel_));
  EXPECT_EQ(connect_to_service().why, 0);
}

TEST_F(Restart, ACompiledDenyRuleRefusesAtConnectAndItsEventNamesTheRule) {
  start();
  test::give_rules(snapshot_, 1, {test::rule(4711, true, {.service_accounts = {"dev/curl"}, .ports = {kPort}})});
  ASSERT_TRUE(load(*kernel_));
  std::vector<weft_event> events;
  auto reader =
      EventReader::open(kernel_->events_map(), [&](const weft_event& event) { events.push_back(event); });
  ASSERT_TRUE(reader);
  EXPECT_EQ(connect_to_service().why, EPERM);
  ASSERT_TRUE((*reader)->consume());
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].rule_id, 4711U);
  EXPECT_EQ(events[0].destination_port, kPort);
  EXPECT_EQ(counted(WEFT_COUNTER_connect_denied_by_policy), 1U);
  snapshot_.policy_rules[0].clauses[0][0].service_accounts = {"dev/other"};
  ASSERT_TRUE(load(*kernel_));
  EXPECT_EQ(connect_to_service().why, 0) << "the rule now speaks of somebody else";
}

}  // namespace
}  // namespace weft::kernel
