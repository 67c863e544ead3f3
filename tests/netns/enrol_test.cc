// Enrolling on the real kernel: arming, repairs, proof, leaving, and what stays when agents and proxies die.
#include <fcntl.h>
#include <signal.h>

#include <fstream>

#include "tests/netns/enrol_fixture.h"

namespace weft::enrol {
namespace {

TEST_F(EnrolTest, AnArmedPodIsProvenAndItsCallsLoopToTheProxyInBothFamilies) {
  make_captured();
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "outbound 10.99.0.5:7000 from 10.77.0.2");
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV6); }), "outbound [fd99::5]:7000 from fd77::2");
  EXPECT_EQ(enroller_->metrics().captured_pods, 1U);
  EXPECT_GE(enroller_->metrics().self_tests_passed, 2U);
}

TEST_F(EnrolTest, RuleAndRouteRemovedBehindItsBackAreBackWithinASecondAndCounted) {
  make_captured();
  pod_.ip("rule del priority 15008");
  pod_.ip("-6 rule del priority 15008");
  pod_.ip("route flush table 15008");
  pod_.ip("-6 route flush table 15008");
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return repairs(Repair::kRule) == 2 && repairs(Repair::kRoute) == 2; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_NE(pod_.sh("ip rule").find("15008"), std::string::npos);
  EXPECT_NE(pod_.sh("ip -6 rule").find("15008"), std::string::npos);
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "outbound 10.99.0.5:7000 from 10.77.0.2");
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV6); }), "outbound [fd99::5]:7000 from fd77::2");
}

TEST_F(EnrolTest, ALoopbackTakenDownAndASysctlSwitchedOffArePutBack) {
  make_captured();
  pod_.sysctl("net.ipv4.tcp_fwmark_accept", "0");
  pod_.ip("link set lo down");
  ASSERT_TRUE(until([&] { return repairs(Repair::kNamespace) >= 1 && repairs(Repair::kRoute) >= 1; }));
  ASSERT_TRUE(until([&] {
    return pod_.sh("ip route show table 15008").find("local default") != std::string::npos &&
           enroller_->ready();
  }));
  EXPECT_EQ(pod_.sh("cat /proc/sys/net/ipv4/tcp_fwmark_accept"), "1\n");
}

TEST_F(EnrolTest, ADetachedLinkFailsTheSelfTestAndIsAttachedAgain) {
  make_captured();
  enroller_.reset();  // nobody repairs
  ASSERT_TRUE(kernel_->detach_pod(pod_.cookie()));
  std::string failure = "no answer";
  tester_->start(pod_.fd(), {*base::Address::parse(compile::kSelfTestV4), compile::kSelfTestPort},
                 [&](const std::string& why) { failure = why; });
  ASSERT_TRUE(until([&] { return failure != "no answer"; }));
  EXPECT_NE(failure, "") << "without the link nobody may answer";
  make_captured();
  ASSERT_TRUE(kernel_->detach_pod(pod_.cookie()));
  ASSERT_TRUE(until([&] { return repairs(Repair::kLink) == 1; }, std::chrono::seconds(1)));
  EXPECT_EQ(kernel_->pod_link(pod_.cookie()), kernel::LinkState::kAttached);
  ASSERT_TRUE(until([&] { return enroller_->ready(); }));
}

TEST_F(EnrolTest, AHookThatNoLongerFiresIsFoundByTheSelfTest) {
  make_captured();
  std::filesystem::remove(path("links/connect4"));
  ASSERT_TRUE(until([&] { return !enroller_->ready(); }, std::chrono::seconds(8)));
  EXPECT_EQ(enroller_->status()[0].gap, Gap::kSelfTest);
  EXPECT_FALSE(enroller_->status()[0].detail.empty());
  EXPECT_GT(enroller_->metrics().self_tests_failed, 0U);
}

TEST_F(EnrolTest, EstablishedConnectionsLiveThroughEnrolAndUnEnrol) {
  start_agent();
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const base::Fd tell(go[1]), hear(go[0]);
  // One connection from before the mesh, one that the mesh carries; both speak again after each change.
  test::Child app(in_pod(), [&] {
    char word;
    const base::Fd before = dial(kRemoteV4);
    (void)!read(hear.get(), &word, 1);  // enrolled
    const base::Fd during = dial(kRemoteV4);
    std::string said = read_line(during.get());
    said += "; " + ask(during.get(), "one");
    said += "; " + ask(before.get(), "two");
    (void)!read(hear.get(), &word, 1);  // un-enrolled
    const base::Fd after = dial(kRemoteV4);
    said += "; " + ask(during.get(), "three");
    said += "; " + ask(before.get(), "four");
    said += "; " + ask(after.get(), "five");
    return said;
  });
  // The server past the proxy echoes what it hears.
  std::thread server([fd = server_v4_.get()] {
    std::vector<std::thread> guests;
    for (int i = 0; i < 2; ++i) {
      int guest = -1;
      for (int wait = 0; wait < 1500 && guest < 0; ++wait) {
        guest = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (guest < 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      guests.emplace_back([socket = guest] {
        const base::Fd owned(socket);
        char buffer[64];
        ssize_t n;
        while ((n = read(socket, buffer, sizeof buffer)) > 0)
          (void)!write(socket, buffer, static_cast<size_t>(n));
      });
    }
    for (auto& guest : guests) guest.join();
  });
  until([] { return false; }, std::chrono::milliseconds(300));
  apply();
  ASSERT_TRUE(until([&] { return enroller_->ready(); }));
  ASSERT_EQ(write(tell.get(), "x", 1), 1);
  until([] { return false; }, std::chrono::milliseconds(500));
  snapshot_.local_pods.clear();
  snapshot_.workloads[0].enrolled = false;
  apply();
  until([] { return false; }, std::chrono::milliseconds(1500));
  ASSERT_EQ(enroller_->status().size(), 1U) << "it lingers: a connection needs rule and route";
  EXPECT_TRUE(enroller_->status()[0].leaving);
  ASSERT_EQ(write(tell.get(), "x", 1), 1);
  EXPECT_EQ(finish(app), "outbound 10.99.0.5:7000 from 10.77.0.2; one; two; three; four; five");
  server.join();
  ASSERT_TRUE(until([&] { return enroller_->status().empty(); }));
  EXPECT_EQ(pod_.sh("ip rule").find("15008"), std::string::npos);
  EXPECT_EQ(pod_.sh("ip -6 rule").find("15008"), std::string::npos);
  EXPECT_EQ(kernel_->pod_link(pod_.cookie()), kernel::LinkState::kAbsent);
  EXPECT_EQ(proxy_->listeners(), 0U);
}

TEST_F(EnrolTest, WithAgentAndProxyDeadAClosedPodIsRefusedAndAnOpenOneGoesWithout) {
  make_captured();
  enroller_.reset();
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "outbound 10.99.0.5:7000 from 10.77.0.2")
      << "the proxy's listeners live without the agent";
  proxy_->die();
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "Operation not permitted");
  snapshot_.local_pods[0].fail_mode = model::FailMode::kOpen;
  make_captured();
  enroller_.reset();
  proxy_->die();
  EXPECT_EQ(in_app([] {
              try {
                const base::Fd socket = dial(kRemoteV4);
                return std::string("connected");
              } catch (const std::exception& error) {
                return std::string(error.what());
              }
            }),
            "connected")
      << "declared so: past the proxy";
}

TEST_F(EnrolTest, AnAgentThatStartsAgainTakesThePodOverWithoutLosingOneConnection) {
  make_captured();
  const size_t before = proxy_->accepted();
  test::Child app(in_pod(), [] {
    int good = 0;
    for (int i = 0; i < 400; ++i) {
      good += greeting_of(kRemoteV4) == "outbound 10.99.0.5:7000 from 10.77.0.2" ? 1 : 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return std::to_string(good);
  });
  for (int restart = 0; restart < 5; ++restart) {
    until([] { return false; }, std::chrono::milliseconds(100));
    enroller_.reset();
    until([] { return false; }, std::chrono::milliseconds(50));
    start_agent();
    apply();
  }
  EXPECT_EQ(finish(app), "400");
  EXPECT_GE(proxy_->accepted() - before, 400U);
}

TEST_F(EnrolTest, OutboundStockShowsThePodsAddressAndInboundStockTheClients) {
  make_captured();
  ASSERT_TRUE(until([&] { return enroller_->metrics().stock.level >= 4; }));
  const base::Fd outbound = proxy_->take_stock(model::StockKind::kOutbound, model::Family::kV4);
  ASSERT_TRUE(outbound);
  sockaddr_storage address{};
  socklen_t length = base::SocketAddress::parse(kRemoteV4)->to_sockaddr(&address);
  ASSERT_EQ(fcntl(outbound.get(), F_SETFL, 0), 0);
  ASSERT_EQ(connect(outbound.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(base::local_address(outbound.get())->address.to_string(), "10.77.0.2");

  for (const bool v4 : {true, false}) {
    const std::string at = v4 ? "10.77.0.2:8080" : "[fd77::2]:8080";
    const std::string client = v4 ? "10.88.1.2" : "fd88::2";
    test::Child app(in_pod(), [at] {
      sockaddr_storage own{};
      const socklen_t size = base::SocketAddress::parse(at)->to_sockaddr(&own);
      const base::Fd listener(socket(own.ss_family, SOCK_STREAM, 0));
      if (bind(listener.get(), reinterpret_cast<sockaddr*>(&own), size) != 0 ||
          listen(listener.get(), 1) != 0)
        return std::string("cannot listen");
      const base::Fd guest(accept(listener.get(), nullptr, nullptr));
      const std::string heard = read_line(guest.get());
      (void)!write(guest.get(), "answer\n", 7);
      return base::peer_address(guest.get())->address.to_string() + " said " + heard;
    });
    const auto family = v4 ? model::Family::kV4 : model::Family::kV6;
    const base::Fd inbound = proxy_->take_stock(model::StockKind::kInbound, family);
    ASSERT_TRUE(inbound);
    ASSERT_EQ(fcntl(inbound.get(), F_SETFL, 0), 0);
    length = base::SocketAddress{*base::Address::parse(client), 0}.to_sockaddr(&address);
    ASSERT_EQ(bind(inbound.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << strerror(errno);
    length = base::SocketAddress::parse(at)->to_sockaddr(&address);
    bool connected = false;
    for (int i = 0; i < 100 && !connected; ++i) {
      connected = connect(inbound.get(), reinterpret_cast<sockaddr*>(&address), length) == 0;
      if (!connected) until([] { return false; }, std::chrono::milliseconds(20));
    }
    ASSERT_TRUE(connected) << strerror(errno);
    EXPECT_EQ(ask(inbound.get(), "hello"), "answer");
    EXPECT_EQ(finish(app), client + " said hello");
  }
}

TEST_F(EnrolTest, APodThatIsGoneLeavesNothingInTheTables) {
  make_captured();
  snapshot_.local_pods.clear();
  snapshot_.workloads.erase(snapshot_.workloads.begin());
  apply();
  ASSERT_TRUE(until([&] { return enroller_->status().empty(); }));
  EXPECT_TRUE(kernel_->pods()->empty());
  EXPECT_TRUE(kernel_->attached_pods()->empty());
  for (uint32_t slot = 0; slot < WEFT_LISTENERS_PER_POD; ++slot)
    EXPECT_FALSE(kernel_->has_listener(slot)) << slot;
}

TEST_F(EnrolTest, AHelperThatWasKilledIsReplaced) {
  make_captured();
  std::string pids;
  std::ifstream(cgroup_.path() + "/self-test/cgroup.procs") >> pids;
  ASSERT_FALSE(pids.empty());
  ASSERT_EQ(kill(static_cast<pid_t>(std::stol(pids)), SIGKILL), 0);
  const uint64_t passed = enroller_->metrics().self_tests_passed;
  ASSERT_TRUE(
      until([&] { return enroller_->metrics().self_tests_passed > passed + 2 && enroller_->ready(); }));
}

}  // namespace
}  // namespace weft::enrol
