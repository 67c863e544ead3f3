// Against a peer that is not ours (Python's ssl and h2), over real sockets on loopback. Our side echoes.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/support/command.h"
#include "tests/support/hbone_rig.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/tls_rig.h"
#include "userspace-proxy/connect/stock_dialer.h"
#include "userspace-proxy/hbone/tls_securer.h"

namespace weft::hbone {
namespace {

const std::string kPeer = WEFT_SOURCE_DIR "/tests/support/apps/hbone_peer.py";
const model::SpiffeId kOurs{"cluster.local", "shop", "web"}, kTheirs{"cluster.local", "dev", "caller"};

base::Fd listen_on_loopback(uint16_t* port) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(fd.get(), 64) == 0);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  *port = ntohs(address.sin_port);
  return fd;
}

struct NoReports final : connect::StockReports {
  void on_stock_changes(std::vector<connect::StockChange>) override {}
};

// Gives back what it reads, and the end.
struct Echo final : base::TransportHandler {
  Echo(std::unique_ptr<base::Transport> its_transport, base::Loop& loop) : transport(std::move(its_transport)) {
    CHECK(transport->attach(loop, this).has_value());
  }
  void on_readable() override {
    char block[4096];
    for (;;) {
      const auto io = transport->read(block);
      if (io.kind == base::Io::Kind::kEnd) transport->shutdown_write();
      if (io.kind != base::Io::Kind::kBytes) return;
      const iovec piece{block, io.bytes};
      CHECK(transport->write({&piece, 1}).kind == base::Io::Kind::kBytes);
    }
  }
  void on_writable() override {}
  std::unique_ptr<base::Transport> transport;
};

struct InteropTest : ::testing::Test, InboundOwner, base::IoHandler {
  InteropTest() {
    node.contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    node.contexts->set(test::credential_of(ca.issue({.uris = {kOurs.to_string()}}), kOurs)).value();
    CHECK(loop->add(door.get(), EPOLLIN, this).has_value());
    save("root.pem", ca.certificate_pem());
    save_identity(ca.issue({.uris = {kTheirs.to_string()}}));
  }
  ~InteropTest() override {
    echoes.clear();
    tunnels.clear();
    dialer.reset();
    loop->turn(0);
  }
  void save(const std::string& name, const std::string& text) const { std::ofstream(dir / name) << text; }
  void save_identity(const test::Issued& issued) const {
    save("cert.pem", issued.chain_pem);
    save("key.pem", issued.key_pem);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port); }

  // Runs the peer's program and our loop until it ends; what it printed.
  std::string peer(std::vector<std::string> words) {
    std::vector<std::string> command = {"/usr/bin/python3", kPeer, "client"};
    for (const std::string name : {"cert", "key", "root"}) {
      command.push_back("--" + name);
      command.push_back(dir / (name + ".pem"));
    }
    command.insert(command.end(), {"--connect", address(), "--timeout", "5"});
    command.insert(command.end(), words.begin(), words.end());
    test::Answer answer;
    std::atomic<bool> done = false;
    std::thread runner([&] {
      answer = test::run(command, std::chrono::seconds(30));
      done = true;
    });
    while (!done) loop->turn(10);
    runner.join();
    EXPECT_TRUE(answer.ok()) << answer.err;
    return answer.out;
  }

  void on_io(uint32_t) override {
    base::Fd taken(::accept4(door.get(), nullptr, nullptr, SOCK_NONBLOCK));
    if (!taken) return;
    shaken.push_back(std::make_unique<Shake>(*this));
    auto made = tls::Handshake::start(*loop, *node.contexts, std::make_unique<base::TcpTransport>(std::move(taken)),
                                      {.role = tls::Role::kServer, .identity = kOurs}, *shaken.back());
    CHECK(made.has_value());
    shaken.back()->handshake = std::move(*made);
  }
  struct Shake final : tls::HandshakeHandler {
    explicit Shake(InteropTest& its_test) : test(its_test) {}
    void on_handshake(base::Result<tls::Established> outcome) override {
      handshake.reset();
      if (!outcome) return test.failures.push_back(base::describe(outcome.error()));
      InboundTunnel::Peer peer;
      peer.pod = base::Address::v4(INADDR_LOOPBACK);
      peer.proof = std::make_shared<const tls::PeerProof>(std::move(outcome->peer));
      test.tunnels.push_back(std::make_unique<InboundTunnel>(test.engine, std::move(outcome->transport),
                                                             std::move(peer), InboundTunnel::Times{}, test));
      test.tunnels.back()->start();
    }
    InteropTest& test;
    std::unique_ptr<tls::Handshake> handshake;
  };
  void on_request(InboundTunnel& tunnel, std::unique_ptr<InboundRequest> request) override {
    seen_identity = tunnel.peer().proof->id.to_string();
    if (deny) return request->refuse(Refusal::kDenied);
    echoes.push_back(std::make_unique<Echo>(request->accept("service.name=web"), *loop));
  }
  void on_refused(InboundTunnel&, Refusal, std::string_view, std::string_view) override {}
  void on_tunnel_over(InboundTunnel& tunnel) override {
    const auto found = std::ranges::find_if(tunnels, [&](const auto& t) { return t.get() == &tunnel; });
    loop->retire(std::move(*found));
    tunnels.erase(found);
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  test::TestCa ca;
  test::TlsNode node{clock};
  observe::Counters counters;
  Engine engine{*loop, counters};
  NoReports reports;
  connect::StockDialer tcp{*loop, counters, reports};
  TlsSecurer securer{*loop, *node.contexts};
  std::unique_ptr<TunnelDialer> dialer = std::make_unique<TunnelDialer>(engine, tcp, securer);
  test::ScratchDir dir;
  uint16_t port = 0;
  base::Fd door = listen_on_loopback(&port);
  std::vector<std::unique_ptr<Shake>> shaken;
  std::vector<std::unique_ptr<InboundTunnel>> tunnels;
  std::vector<std::unique_ptr<Echo>> echoes;
  std::vector<std::string> failures;
  std::string seen_identity;
  bool deny = false;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(InteropTest, a_stock_client_is_served) {
  const auto out = peer({"--authority", "127.0.0.1:8080", "--send", "hello", "--half-close"});
  EXPECT_TRUE(has(out, R"("status": "200")")) << out;
  EXPECT_TRUE(has(out, R"("text": "hello")")) << out;
  EXPECT_TRUE(has(out, R"("end": "end")")) << out;
  EXPECT_TRUE(has(out, R"("baggage": "service.name=web")")) << out;
  EXPECT_TRUE(has(out, R"("tls": "TLSv1.3")")) << out;
  EXPECT_TRUE(has(out, kOurs.to_string())) << out;
  EXPECT_EQ(seen_identity, kTheirs.to_string());
}

TEST_F(InteropTest, a_stock_client_gets_the_status_of_its_mistake) {
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.2:80"}), R"("status": "400")"));
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.1:15006"}), R"("status": "503")"));
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.1:80", "--mode", "get"}), R"("status": "400")"));
  deny = true;
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.1:80"}), R"("status": "401")"));
}

TEST_F(InteropTest, handshakes_that_prove_nothing_reach_no_tunnel) {
  for (const std::string mode : {"tls12", "no-cert", "no-alpn", "early"}) {
    const auto out = peer({"--authority", "127.0.0.1:80", "--mode", mode});
    EXPECT_FALSE(has(out, "status\": \"200")) << mode << out;
  }
  save_identity(ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}));
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.1:80"}), "tls: "));
  save_identity(ca.issue({.uris = {kTheirs.to_string(), "spiffe://cluster.local/ns/dev/sa/two"}}));
  EXPECT_TRUE(has(peer({"--authority", "127.0.0.1:80"}), "tls: "));
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  EXPECT_GE(failures.size(), 6u);
}

TEST_F(InteropTest, floods_of_a_stock_client_are_cut) {
  for (const std::string mode : {"rapid-reset", "ping-flood", "settings-flood"}) {
    const auto out = peer({"--authority", "127.0.0.1:80", "--mode", mode});
    EXPECT_FALSE(has(out, "timeout")) << mode << out;
  }
  EXPECT_EQ(counters.hbone_floods, 3u);
}

// ---- the peer is the destination

struct OutboundInteropTest : InteropTest {
  // Runs the peer as a server beside the loop, until the test ends.
  void with_server(std::vector<std::string> words, const std::function<void(uint16_t)>& work) {
    uint16_t free_port = 0;
    { const auto probe = listen_on_loopback(&free_port); }
    std::vector<std::string> command = {"/usr/bin/timeout", "4", "/usr/bin/python3", kPeer, "server", "--listen",
                                        "127.0.0.1:" + std::to_string(free_port), "--app", "127.0.0.1:" + std::to_string(app_port)};
    for (const std::string name : {"cert", "key", "root"}) {
      command.push_back("--" + name);
      command.push_back(dir / (name + ".pem"));
    }
    command.insert(command.end(), words.begin(), words.end());
    std::thread runner([&] { output = test::run(command, std::chrono::seconds(30)).out; });
    for (int tries = 0; tries < 200; ++tries) {
      base::Fd probe(::socket(AF_INET, SOCK_STREAM, 0));
      sockaddr_storage to{};
      const auto length = base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), free_port}.to_sockaddr(&to);
      if (::connect(probe.get(), reinterpret_cast<sockaddr*>(&to), length) == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    work(free_port);
    runner.join();
  }
  std::unique_ptr<test::Dialled> dial(uint16_t to) {
    auto out = std::make_unique<test::Dialled>();
    out->dial = dialer->dial({.pod = {},
                              .source = kOurs,
                              .destination = {base::Address::v4(INADDR_LOOPBACK), to},
                              .accepted = {&kTheirs, 1},
                              .authority = "10.9.9.9:80",
                              .baggage = "k8s.namespace.name=shop"},
                             *out);
    for (int i = 0; i < 300 && out->told == 0; ++i) loop->turn(10);
    return out;
  }
  uint16_t app_port = 0;
  base::Fd app = listen_on_loopback(&app_port);
  std::string output;
};

TEST_F(OutboundInteropTest, a_stock_server_carries_streams_of_ours) {
  with_server({}, [&](uint16_t to) {
    auto dialled = dial(to);
    ASSERT_NE(dialled->transport, nullptr) << (dialled->error ? base::describe(*dialled->error) : "");
    test::Reader reader(std::move(dialled->transport), *loop);
    base::Fd taken(::accept(app.get(), nullptr, nullptr));
    ASSERT_TRUE(taken.valid());
    const std::string bytes(2u << 20, 'x');
    reader.say(bytes);
    size_t got = 0;
    std::vector<char> block(256 * 1024);
    for (int i = 0; i < 1000 && got < bytes.size(); ++i) {
      loop->turn(5);
      const ssize_t n = ::recv(taken.get(), block.data(), block.size(), MSG_DONTWAIT);
      if (n > 0) got += static_cast<size_t>(n);
    }
    EXPECT_EQ(got, bytes.size());
    ASSERT_EQ(::send(taken.get(), "bye", 3, 0), 3);
    taken.reset();
    for (int i = 0; i < 300 && !reader.ended; ++i) loop->turn(5);
    EXPECT_EQ(reader.got, "bye");
    EXPECT_TRUE(reader.ended);
    auto second = dial(to);
    EXPECT_NE(second->transport, nullptr);
    EXPECT_EQ(dialer->tunnels(), 1u);
  });
  if (HasFailure()) std::puts(output.c_str());
  EXPECT_TRUE(has(output, R"(":authority": "10.9.9.9:80")")) << output;
  EXPECT_TRUE(has(output, kOurs.to_string())) << output;
}

TEST_F(OutboundInteropTest, a_refusal_of_a_stock_server_has_its_name) {
  with_server({"--status", "401"}, [&](uint16_t to) {
    auto dialled = dial(to);
    ASSERT_TRUE(dialled->error.has_value());
    EXPECT_EQ(flag_of(*dialled->error), observe::Flag::kDeny);
  });
}

}  // namespace
}  // namespace weft::hbone
