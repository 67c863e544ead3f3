// Against a peer that is not ours (Python's ssl and h2), over real sockets on loopback.
#include "tests/support/stock_rig.h"

namespace weft::hbone {
namespace {

using test::holds;

const std::string kPeer = WEFT_SOURCE_DIR "/tests/support/apps/hbone_peer.py";

struct InteropTest : ::testing::Test, test::StockRig {
  // Runs the peer as a client; what it printed.
  std::string peer(std::vector<std::string> words) {
    words.insert(words.begin(), {"client", "--connect", address(), "--timeout", "5"});
    const auto answer = beside(test::python_peer(*this, kPeer, words));
    EXPECT_TRUE(answer.ok()) << answer.err;
    return answer.out;
  }
  // Runs it as a server until the test ends. Empty port: it does not come up.
  uint16_t serve(std::vector<std::string> words) {
    const uint16_t there = test::free_port();
    words.insert(words.begin(), {"server", "--listen", "127.0.0.1:" + std::to_string(there), "--app",
                                 "127.0.0.1:" + std::to_string(app_port)});
    server = std::make_unique<test::Background>(test::python_peer(*this, kPeer, words), dir / "server.log");
    EXPECT_TRUE(test::eventually([&] { return holds(server->said(), "ready"); })) << server->said();
    return there;
  }
  std::unique_ptr<test::Background> server;
};

TEST_F(InteropTest, a_stock_client_is_served) {
  const auto out = peer({"--authority", "127.0.0.1:8080", "--send", "hello", "--half-close"});
  EXPECT_TRUE(holds(out, R"("status": "200")")) << out;
  EXPECT_TRUE(holds(out, R"("text": "hello")")) << out;
  EXPECT_TRUE(holds(out, R"("end": "end")")) << out;
  EXPECT_TRUE(holds(out, R"("baggage": "service.name=web")")) << out;
  EXPECT_TRUE(holds(out, R"("tls": "TLSv1.3")")) << out;
  EXPECT_TRUE(holds(out, ours.to_string())) << out;
  EXPECT_EQ(seen_identity, theirs.to_string());
}

TEST_F(InteropTest, a_stock_client_gets_the_status_of_its_mistake) {
  EXPECT_TRUE(holds(peer({"--authority", "127.0.0.2:80"}), R"("status": "400")"));  // another pod
  EXPECT_TRUE(holds(peer({"--authority", "[::1]:80"}), R"("status": "400")"));
  EXPECT_TRUE(holds(peer({"--authority", "127.0.0.1"}), R"("status": "400")"));
  EXPECT_TRUE(holds(peer({"--authority", "127.0.0.1:80", "--mode", "get"}), R"("status": "400")"));
  for (const std::string own : {"15000", "15001", "15006", "15008", "15020", "15021"})
    EXPECT_TRUE(holds(peer({"--authority", "127.0.0.1:" + own}), R"("status": "503")")) << own;
  EXPECT_EQ(refused.size(), 10u);
  EXPECT_EQ(seen_authority, "") << "the owner is asked about none of them";
  const auto odd = peer({"--authority", "127.0.0.1:80", "--mode", "other-path"});
  EXPECT_FALSE(holds(odd, R"("status": "200")")) << odd;
  refuse = Refusal::kDenied;
  EXPECT_TRUE(holds(peer({"--authority", "127.0.0.1:80"}), R"("status": "401")"));
}

TEST_F(InteropTest, baggage_that_lies_is_a_claim_and_the_certificate_is_the_name) {
  const std::string lie = "k8s.namespace.name=kube-system,k8s.deployment.name=admin,service.name=admin";
  auto out = peer({"--authority", "127.0.0.1:80", "--baggage", lie, "--forwarded", "for=10.9.9.9;host=admin", "--send", "x",
                   "--half-close"});
  EXPECT_TRUE(holds(out, R"("status": "200")")) << out;
  EXPECT_EQ(seen_baggage, lie);
  EXPECT_EQ(seen_identity, theirs.to_string());
  out = peer({"--authority", "127.0.0.1:80", "--baggage", ",,==,k8s.namespace.name", "--traceparent", "00-zz", "--send", "x",
              "--half-close"});
  EXPECT_TRUE(holds(out, R"("status": "200")")) << out;
}

TEST_F(InteropTest, floods_of_a_stock_client_are_cut) {
  for (const std::string mode : {"rapid-reset", "ping-flood", "settings-flood"}) {
    const auto out = peer({"--authority", "127.0.0.1:80", "--mode", mode});
    EXPECT_FALSE(holds(out, "timeout")) << mode << out;
  }
  EXPECT_EQ(counters.hbone_floods, 3u);
}

TEST_F(InteropTest, a_stock_client_that_never_reads_holds_its_window_and_nobody_else) {
  serves = test::Carried::Does::kPour;
  const test::Background lazy(
      test::python_peer(*this, kPeer, {"client", "--connect", address(), "--timeout", "3", "--authority", "127.0.0.1:80",
                                       "--mode", "never-read"}),
      dir / "lazy.log");
  ASSERT_TRUE(until([&] { return !served.empty() && served[0]->total >= (4u << 20); }));
  serves = test::Carried::Does::kEcho;
  EXPECT_TRUE(holds(peer({"--authority", "127.0.0.1:80", "--send", "hello", "--half-close"}), R"("text": "hello")"));
  ASSERT_TRUE(until([&] { return holds(lazy.said(), "received"); }));
  EXPECT_TRUE(holds(lazy.said(), R"("received": 4194304)")) << lazy.said();
  EXPECT_TRUE(holds(lazy.said(), R"("end": "timeout")")) << lazy.said();
  EXPECT_LE(served[0]->total, (4u << 20) + 256 * 1024);
  EXPECT_TRUE(until([&] { return served[0]->failure != 0; })) << "its end is felt";
}

TEST_F(InteropTest, a_stock_client_with_a_window_of_one_gets_one_byte) {
  serves = test::Carried::Does::kPour;
  const auto out = peer({"--authority", "127.0.0.1:80", "--mode", "window-one", "--timeout", "2"});
  EXPECT_TRUE(holds(out, R"("received": 1,)")) << out;
  ASSERT_EQ(served.size(), 1u);
  EXPECT_EQ(served[0]->total, 1u) << "what the peer does not take stays with the application";
}

// ---- the peer is the destination

TEST_F(InteropTest, a_stock_server_carries_streams_of_ours) {
  const auto there = serve({});
  const auto stream = this->stream(there);
  ASSERT_NE(stream, nullptr);
  auto* behind = taken();
  ASSERT_NE(behind, nullptr);
  const std::string bytes(2u << 20, 'x');
  stream->say(bytes);
  EXPECT_TRUE(until([&] { return behind->got.size() >= bytes.size(); }));
  EXPECT_EQ(behind->got.size(), bytes.size());
  behind->to_send = "bye";
  behind->finishing = true;
  EXPECT_TRUE(until([&] { return stream->ended; }));
  EXPECT_EQ(stream->got, "bye");
  EXPECT_NE(dial(there)->transport, nullptr);
  EXPECT_EQ(dialer->tunnels(), 1u);
  EXPECT_TRUE(holds(server->said(), R"(":authority": "10.9.9.9:80")")) << server->said();
  EXPECT_TRUE(holds(server->said(), ours.to_string())) << server->said();
}

TEST_F(InteropTest, a_refusal_of_a_stock_server_has_its_name) {
  const auto dialled = dial(serve({"--status", "401"}));
  ASSERT_TRUE(dialled->error.has_value());
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kDeny);
}

TEST_F(InteropTest, a_refusal_with_a_reset_right_behind_it_keeps_its_name) {
  const auto dialled = dial(serve({"--status", "401", "--mode", "refuse-reset"}));
  ASSERT_TRUE(dialled->error.has_value());
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kDeny) << base::describe(*dialled->error);
}

TEST_F(InteropTest, a_stock_server_that_never_reads_stops_one_stream_and_no_other) {
  const auto there = serve({"--mode", "never-read"});
  const auto stuck = stream(there, test::Carried::Does::kPour);
  ASSERT_NE(stuck, nullptr);
  ASSERT_NE(taken(), nullptr);
  EXPECT_TRUE(until([&] { return stuck->total >= (4u << 20); }));
  until([] { return false; }, std::chrono::seconds(1));  // a peer that is behind looks busy
  const auto live = stream(there);
  ASSERT_NE(live, nullptr);
  auto* behind = taken();
  ASSERT_NE(behind, nullptr);
  live->say("hello");
  EXPECT_TRUE(until([&] { return behind->got == "hello"; })) << behind->got;
  EXPECT_EQ(stuck->total, 4u << 20) << "not a byte beyond the peer's window";
  EXPECT_EQ(dialer->tunnels(), 1u);
}

}  // namespace
}  // namespace weft::hbone
