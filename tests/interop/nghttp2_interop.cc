// nghttp2's own programs against weft's HBONE: nghttpx as a proxy that originates and terminates CONNECT over mutual
// TLS, nghttp and h2load as clients that do what HBONE refuses.
//
//   application --HTTP/1.1 CONNECT--> nghttpx --HTTP/2 CONNECT, mTLS--> weft
//   weft --HTTP/2 CONNECT, mTLS--> nghttpx --HTTP/1.1 CONNECT--> a forward proxy (the test itself)
#include <signal.h>

#include "tests/support/stock_rig.h"

namespace weft::hbone {
namespace {

using test::holds;

struct Nghttp2Test : ::testing::Test, test::StockRig {
  std::unique_ptr<test::Background> nghttpx(std::vector<std::string> words) {
    words.insert(words.begin(), {"nghttpx", "--conf=/dev/null", "--http2-proxy", "--workers=1",
                                 "--no-ocsp", "--cacert=" + (dir / "root.pem"), "--errorlog-file=/dev/stderr", "-LINFO"});
    return std::make_unique<test::Background>(words, dir / "nghttpx.log");
  }
  // An nghttpx whose far side is our door. `name`: what our certificate is held against.
  uint16_t originator(const std::string& name = "weft.test") {
    const uint16_t there = test::free_port();
    program = nghttpx({"--frontend=127.0.0.1," + std::to_string(there) + ";no-tls",
                       "--backend=127.0.0.1," + std::to_string(port) + ";;tls;proto=h2;sni=" + name,
                       "--client-cert-file=" + (dir / "cert.pem"), "--client-private-key-file=" + (dir / "key.pem")});
    EXPECT_TRUE(answers(there)) << program->said();
    return there;
  }
  // An nghttpx in front of `app`.
  uint16_t terminator() {
    const uint16_t there = test::free_port();
    program = nghttpx({"--frontend=127.0.0.1," + std::to_string(there), "--verify-client",
                       "--verify-client-cacert=" + (dir / "root.pem"),
                       "--backend=127.0.0.1," + std::to_string(app_port) + ";;proto=http/1.1", dir / "key.pem",
                       dir / "cert.pem"});
    EXPECT_TRUE(answers(there)) << program->said();
    return there;
  }
  // An application that asks the proxy there for a tunnel; `answer` is the status line it gets.
  test::Application& tunnel(uint16_t there, const std::string& target, const std::string& answer) {
    auto& made = calls(there);
    made.to_send = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
    EXPECT_TRUE(until([&] { return holds(made.got, "\r\n\r\n") || made.ended || made.failure; }));
    EXPECT_TRUE(holds(made.got, answer)) << made.got << program->said();
    made.got.erase(0, made.got.find("\r\n\r\n") + 4);
    return made;
  }
  // The forward proxy behind nghttpx takes the tunnel that has been asked for.
  test::Application* proxied() {
    auto* behind = taken();
    if (behind == nullptr) return nullptr;
    EXPECT_TRUE(until([&] { return holds(behind->got, "\r\n\r\n"); })) << behind->got;
    EXPECT_EQ(behind->got.rfind("CONNECT 10.9.9.9:80 HTTP/1.1\r\n", 0), 0u) << behind->got;
    behind->got.clear();
    behind->to_send = "HTTP/1.1 200 Connected\r\n\r\n";
    return behind;
  }
  // A stream of ours through nghttpx, both ends of it.
  std::pair<std::unique_ptr<test::Carried>, test::Application*> stream_through(uint16_t there) {
    const auto dialled = begin_dial(there);
    auto* behind = proxied();
    until([&] { return dialled->told > 0; });
    EXPECT_TRUE(dialled->transport) << (dialled->error ? base::describe(*dialled->error) : "not told") << program->said();
    if (!dialled->transport || behind == nullptr) return {};
    behind->to_send.clear();
    behind->sent = 0;
    return {std::make_unique<test::Carried>(std::move(dialled->transport), *loop), behind};
  }
  std::unique_ptr<test::Background> program;
};

TEST_F(Nghttp2Test, nghttpx_carries_an_application_to_us) {
  const auto there = originator();
  auto& near = tunnel(there, "127.0.0.1:8080", "HTTP/1.1 200");
  EXPECT_EQ(seen_identity, theirs.to_string());
  EXPECT_EQ(seen_authority, "127.0.0.1:8080");
  near.to_send = std::string(8u << 20, 'x');
  near.sent = 0;
  EXPECT_TRUE(until([&] { return near.got.size() >= near.to_send.size() || near.ended; }, std::chrono::seconds(30)));
  EXPECT_TRUE(near.got == near.to_send) << near.got.size();
  served.back()->finish();
  EXPECT_TRUE(until([&] { return near.ended; })) << "our end arrives";
}

TEST_F(Nghttp2Test, nghttpx_passes_a_reset_of_ours_and_we_feel_the_end_of_its_application) {
  const auto there = originator();
  auto& near = tunnel(there, "127.0.0.1:8080", "HTTP/1.1 200");
  served.back()->transport->reset();
  EXPECT_TRUE(until([&] { return near.ended || near.failure; }));
  auto& second = tunnel(there, "127.0.0.1:8080", "HTTP/1.1 200");
  second.reset();
  EXPECT_TRUE(until([&] { return served.back()->failure || served.back()->ended; }));
}

TEST_F(Nghttp2Test, nghttpx_shares_a_tunnel_among_many_streams) {
  const auto there = originator();
  std::vector<test::Application*> near;
  for (int i = 0; i < 50; ++i) near.push_back(&tunnel(there, "127.0.0.1:8080", "HTTP/1.1 200"));
  for (size_t i = 0; i < near.size(); ++i) near[i]->to_send = "stream " + std::to_string(i), near[i]->sent = 0;
  EXPECT_TRUE(until([&] { return std::ranges::all_of(near, [](auto* n) { return n->got == n->to_send; }); }));
  EXPECT_LE(counters.hbone_tunnels_accepted, 2u);
  // A drain: live streams go on, new ones get a tunnel of their own.
  const auto before = counters.hbone_tunnels_accepted;
  for (auto& each : tunnels) each->drain();
  until([] { return false; }, std::chrono::seconds(2));
  auto& late = tunnel(there, "127.0.0.1:8080", "HTTP/1.1 200");
  late.to_send = near[0]->to_send = "again", late.sent = near[0]->sent = 0;
  near[0]->got.clear();
  EXPECT_TRUE(until([&] { return late.got == "again" && near[0]->got == "again"; })) << late.got << near[0]->got;
  EXPECT_GT(counters.hbone_tunnels_accepted, before);
}

TEST_F(Nghttp2Test, nghttpx_hears_our_refusals) {
  const auto there = originator();
  tunnel(there, "127.0.0.2:80", "HTTP/1.1 400");
  tunnel(there, "127.0.0.1:15006", "HTTP/1.1 503");
  refuse = Refusal::kDenied;
  tunnel(there, "127.0.0.1:80", "HTTP/1.1 401");
}

TEST_F(Nghttp2Test, nghttpx_with_a_foreign_certificate_reaches_no_tunnel) {
  save_identity(ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}));
  tunnel(originator(), "127.0.0.1:80", "HTTP/1.1 50");
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  ASSERT_FALSE(failures.empty());
  EXPECT_TRUE(holds(failures[0], "wrong trust domain")) << failures[0];
}

TEST_F(Nghttp2Test, nghttpx_terminates_streams_of_ours) {
  const auto there = terminator();
  const auto [near, behind] = stream_through(there);
  ASSERT_NE(near, nullptr);
  const std::string bytes(8u << 20, 'y');
  near->say(bytes);
  behind->to_send = bytes;
  EXPECT_TRUE(until([&, n = near.get(), b = behind] { return n->got.size() >= bytes.size() && b->got.size() >= bytes.size(); },
                    std::chrono::seconds(30)));
  EXPECT_TRUE(near->got == bytes && behind->got == bytes) << near->got.size() << " " << behind->got.size();
  behind->finishing = true;
  EXPECT_TRUE(until([n = near.get()] { return n->ended || n->failure != 0; }));
  EXPECT_EQ(near->failure, 0);
}

TEST_F(Nghttp2Test, nghttpx_drains_and_our_streams_finish) {
  const auto there = terminator();
  const auto [near, behind] = stream_through(there);
  ASSERT_NE(near, nullptr);
  program->signal(SIGQUIT);  // its graceful shutdown: GOAWAY, no new connections
  until([] { return false; }, std::chrono::seconds(1));
  const auto refused_dial = dial(there);
  EXPECT_TRUE(refused_dial->error) << "there is nobody left to begin with" << program->said();
  near->say("still here");
  EXPECT_TRUE(until([b = behind] { return b->got == "still here"; })) << behind->got;
  behind->finishing = true;
  EXPECT_TRUE(until([n = near.get()] { return n->ended; }));
}

TEST_F(Nghttp2Test, nghttpx_that_shows_another_name_gets_no_request) {
  save_identity(ca.issue({.uris = {"spiffe://cluster.local/ns/dev/sa/two"}}));
  const auto dialled = dial(terminator());
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kIdentityError) << base::describe(*dialled->error);
}

TEST_F(Nghttp2Test, nghttpx_that_does_not_know_our_root_is_a_failure_of_tls) {
  be(test::TestCa("another root").issue({.uris = {ours.to_string()}}));
  const auto dialled = dial(terminator());
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kTlsFailure) << base::describe(*dialled->error);
}

TEST_F(Nghttp2Test, nghttpd_without_tls_gets_no_request_in_plain_text) {
  const uint16_t there = test::free_port();
  const test::Background server({"nghttpd", "-a", "127.0.0.1", "--no-tls", "-v", std::to_string(there)}, dir / "nghttpd.log");
  ASSERT_TRUE(answers(there)) << server.said();
  const auto dialled = dial(there);
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kTlsFailure) << base::describe(*dialled->error);
  EXPECT_FALSE(holds(server.said(), "CONNECT")) << server.said();
}

TEST_F(Nghttp2Test, nghttp_is_told_that_only_connect_is_served) {
  std::vector<std::string> words = {"nghttp", "-v", "--no-verify-peer", "--timeout=5", "--cert=" + (dir / "cert.pem"),
                                    "--key=" + (dir / "key.pem"), "https://" + address() + "/"};
  const auto get = beside(words);
  EXPECT_TRUE(holds(get.out, ":status: 400")) << get.out << get.err;
  EXPECT_EQ(refused, std::vector<std::string>{"the method is not CONNECT"});
  words.insert(words.begin() + 1, "-H:method: CONNECT");  // with :path and :scheme, as nghttp sends them always
  const auto connect = beside(words);
  EXPECT_FALSE(holds(connect.out, ":status: 200")) << connect.out;
  EXPECT_EQ(seen_authority, "");
}

TEST_F(Nghttp2Test, a_crowd_of_h2load_without_certificates_reaches_no_tunnel) {
  const auto crowd = beside({"h2load", "-n", "200", "-c", "50", "-m", "4", "-T", "5", "https://" + address() + "/"});
  EXPECT_TRUE(holds(crowd.out, " 0 succeeded")) << crowd.out;
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  EXPECT_GE(failures.size(), 50u);
}

}  // namespace
}  // namespace weft::hbone
