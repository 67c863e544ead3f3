#pragma once
// weft's two ends of HBONE on real sockets of the loopback, for peers that are not ours. Header only, since it needs
// the hbone room, which tests/support does not link.
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

namespace weft::test {

inline base::Fd listen_on_loopback(uint16_t* port) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(fd.get(), 512) == 0);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  *port = ntohs(address.sin_port);
  return fd;
}

// Free a moment ago.
inline uint16_t free_port() {
  uint16_t port = 0;
  (void)listen_on_loopback(&port);
  return port;
}

inline bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// What an end of a connection has said and heard.
struct Talk {
  std::string got, to_send;
  size_t sent = 0;  // of to_send
  bool ended = false, finishing = false, finished = false;
  int failure = 0;
};

// An application: one end of a plain connection, served by StockRig::until().
struct Application : Talk {
  explicit Application(base::Fd its_fd) : fd(std::move(its_fd)) {}
  void step() {
    while (sent < to_send.size()) {
      const ssize_t n = ::send(fd.get(), to_send.data() + sent, to_send.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    if (finishing && !finished && sent == to_send.size()) finished = ::shutdown(fd.get(), SHUT_WR) == 0;
    while (!ended && failure == 0) {
      const ssize_t n = ::recv(fd.get(), block.data(), block.size(), MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) failure = errno;
      if (n == 0) ended = true;
      if (n <= 0) return;
      got.append(block.data(), static_cast<size_t>(n));
    }
  }
  // Leaves with an RST.
  void reset() {
    const linger now{1, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd.reset();
    failure = ECANCELED;
  }
  base::Fd fd;
  std::vector<char> block = std::vector<char>(256 * 1024);
};

// weft's end of a stream: talks, or gives back what it hears, or pours without end.
struct Carried final : base::TransportHandler, Talk {
  enum class Does : uint8_t { kTalk, kEcho, kPour };
  Carried(std::unique_ptr<base::Transport> its_transport, base::Loop& loop, Does what = Does::kTalk)
      : transport(std::move(its_transport)), does(what) {
    CHECK(transport->attach(loop, this).has_value());
  }
  void on_readable() override { work(); }
  void on_writable() override { work(); }
  void say(std::string_view bytes) {
    to_send += bytes;
    work();
  }
  // An end behind what was said.
  void finish() {
    finishing = true;
    work();
  }
  void work() {
    // An echo that read on while its answers wait would hold all there is in memory.
    while ((push() || does == Does::kTalk) && pull()) {
    }
  }
  bool push() {
    while (sent < to_send.size() || does == Does::kPour) {
      if (sent == to_send.size()) to_send.assign(64 * 1024, 'p'), sent = 0;
      const iovec piece{to_send.data() + sent, to_send.size() - sent};
      const auto io = transport->write({&piece, 1});
      if (io.kind == base::Io::Kind::kError) failure = io.sys_errno;
      if (io.kind != base::Io::Kind::kBytes) return false;
      sent += io.bytes;
      total += io.bytes;
    }
    to_send.clear();
    sent = 0;
    if (finishing && !std::exchange(finished, true)) transport->shutdown_write();
    return true;
  }
  bool pull() {
    if (ended || failure != 0) return false;
    const auto io = transport->read(block);
    if (io.kind == base::Io::Kind::kBytes) (does == Does::kEcho ? to_send : got).append(block.data(), io.bytes);
    if (io.kind == base::Io::Kind::kError) failure = io.sys_errno;
    if (io.kind != base::Io::Kind::kEnd) return io.kind == base::Io::Kind::kBytes;
    ended = true;
    if (does == Does::kEcho) finishing = true, push();
    return false;
  }
  std::unique_ptr<base::Transport> transport;
  std::vector<char> block = std::vector<char>(64 * 1024);
  Does does;
  size_t total = 0;  // bytes written
};

// A node of ours with one door (its HBONE port) and one dialer. The peer's files: cert.pem, key.pem, root.pem.
struct StockRig : hbone::InboundOwner, base::IoHandler, connect::StockReports {
  StockRig() {
    node.contexts->set_bundle(bundle_of(ca.certificate_pem(), 1)).value();
    be(ca.issue({.uris = {ours.to_string()}, .dns = {"weft.test"}}));
    CHECK(loop->add(door.get(), EPOLLIN, this).has_value());
    save("root.pem", ca.certificate_pem());
    save_identity(ca.issue({.uris = {theirs.to_string()}, .dns = {"peer.test"}}));
  }
  ~StockRig() override {
    served.clear();
    tunnels.clear();
    dialer.reset();
    loop->turn(0);
  }
  StockRig(const StockRig&) = delete;
  StockRig& operator=(const StockRig&) = delete;

  // Our certificate from now on, right or wrong.
  void be(const Issued& issued) { node.contexts->set(credential_of(issued, ours)).value(); }
  void save(const std::string& name, const std::string& text) const { std::ofstream(dir / name) << text; }
  void save_identity(const Issued& issued) const {
    save("cert.pem", issued.chain_pem);
    save("key.pem", issued.key_pem);
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port); }

  bool until(const std::function<bool()>& condition, std::chrono::seconds limit = std::chrono::seconds(15)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      for (auto& each : applications) each->step();
      loop->turn(2);
    }
    return true;
  }
  // Runs a program to its end while we serve.
  Answer beside(const std::vector<std::string>& words, std::chrono::seconds limit = std::chrono::seconds(30)) {
    Answer answer;
    std::atomic<bool> done = false;
    std::thread runner([&] {
      answer = run(words, limit);
      done = true;
    });
    while (!done) loop->turn(5);
    runner.join();
    return answer;
  }
  Application& calls(uint16_t to) {
    base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage where{};
    const auto length = base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), to}.to_sockaddr(&where);
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), length) == 0);
    return *applications.emplace_back(std::make_unique<Application>(std::move(fd)));
  }
  // The next connection that comes to the application behind the peer; null: none.
  Application* taken() {
    base::Fd fd;
    until([&] { return (fd = base::Fd(::accept4(app.get(), nullptr, nullptr, SOCK_CLOEXEC))).valid(); });
    if (!fd) return nullptr;
    return applications.emplace_back(std::make_unique<Application>(std::move(fd))).get();
  }
  // Something listens there.
  static bool answers(uint16_t there) {
    return eventually([&] {
      base::Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage where{};
      const auto length = base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), there}.to_sockaddr(&where);
      return ::connect(probe.get(), reinterpret_cast<sockaddr*>(&where), length) == 0;
    });
  }
  // Without waiting for the outcome.
  std::unique_ptr<Dialled> begin_dial(uint16_t to) {
    auto out = std::make_unique<Dialled>();
    out->dial = dialer->dial({.pod = {},
                              .source = ours,
                              .destination = {base::Address::v4(INADDR_LOOPBACK), to},
                              .accepted = {&theirs, 1},
                              .authority = authority,
                              .baggage = "k8s.namespace.name=shop",
                              .forwarded = {},
                              .traceparent = {}},
                             *out);
    return out;
  }
  std::unique_ptr<Dialled> dial(uint16_t to) {
    auto out = begin_dial(to);
    until([&] { return out->told > 0; });
    return out;
  }
  // A stream of ours through the peer on that port; null, and a failure of the test: there is none.
  std::unique_ptr<Carried> stream(uint16_t to, Carried::Does does = Carried::Does::kTalk) {
    auto dialled = dial(to);
    EXPECT_NE(dialled->transport, nullptr) << (dialled->error ? base::describe(*dialled->error) : "not told");
    if (!dialled->transport) return nullptr;
    return std::make_unique<Carried>(std::move(dialled->transport), *loop, does);
  }

  // Arrivals.
  void on_io(uint32_t) override {
    for (;;) {
      base::Fd taken(::accept4(door.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!taken) return;
      shaken.push_back(std::make_unique<Shake>(*this));
      auto made = tls::Handshake::start(*loop, *node.contexts, std::make_unique<base::TcpTransport>(std::move(taken)),
                                        {.role = tls::Role::kServer, .identity = ours}, *shaken.back());
      CHECK(made.has_value());
      shaken.back()->handshake = std::move(*made);
    }
  }
  struct Shake final : tls::HandshakeHandler {
    explicit Shake(StockRig& its_rig) : rig(its_rig) {}
    void on_handshake(base::Result<tls::Established> outcome) override {
      handshake.reset();
      if (!outcome) return rig.failures.push_back(base::describe(outcome.error()));
      hbone::InboundTunnel::Peer peer;
      peer.pod = base::Address::v4(INADDR_LOOPBACK);
      peer.proof = std::make_shared<const tls::PeerProof>(std::move(outcome->peer));
      rig.tunnels.push_back(std::make_unique<hbone::InboundTunnel>(rig.engine, std::move(outcome->transport),
                                                                   std::move(peer), hbone::InboundTunnel::Times{}, rig));
      rig.tunnels.back()->start();
    }
    StockRig& rig;
    std::unique_ptr<tls::Handshake> handshake;
  };
  void on_request(hbone::InboundTunnel& tunnel, std::unique_ptr<hbone::InboundRequest> request) override {
    seen_identity = tunnel.peer().proof->id.to_string();
    seen_authority = request->authority().to_string();
    seen_baggage = request->baggage();
    if (refuse) return request->refuse(*refuse);
    served.push_back(std::make_unique<Carried>(request->accept("service.name=web"), *loop, serves));
  }
  void on_refused(hbone::InboundTunnel&, hbone::Refusal, std::string_view, std::string_view reason) override {
    refused.emplace_back(reason);
  }
  void on_tunnel_over(hbone::InboundTunnel& tunnel) override {
    const auto found = std::ranges::find_if(tunnels, [&](const auto& t) { return t.get() == &tunnel; });
    loop->retire(std::move(*found));
    tunnels.erase(found);
  }
  void on_stock_changes(std::vector<connect::StockChange>) override {}

  const model::SpiffeId ours{"cluster.local", "shop", "web"}, theirs{"cluster.local", "dev", "caller"};
  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  TestCa ca;
  TlsNode node{clock};
  observe::Counters counters;
  hbone::Engine engine{*loop, counters};
  connect::StockDialer tcp{*loop, counters, *this};
  hbone::TlsSecurer securer{*loop, *node.contexts};
  std::unique_ptr<hbone::TunnelDialer> dialer = std::make_unique<hbone::TunnelDialer>(engine, tcp, securer);
  ScratchDir dir;
  std::string authority = "10.9.9.9:80";  // of our dials
  uint16_t port = 0, app_port = 0;
  base::Fd door = listen_on_loopback(&port), app = listen_on_loopback(&app_port);
  std::vector<std::unique_ptr<Application>> applications;
  std::vector<std::unique_ptr<Shake>> shaken;
  std::vector<std::unique_ptr<hbone::InboundTunnel>> tunnels;
  std::vector<std::unique_ptr<Carried>> served;
  std::vector<std::string> failures, refused;  // handshakes and requests, why
  std::string seen_identity, seen_authority, seen_baggage;
  Carried::Does serves = Carried::Does::kEcho;
  std::optional<hbone::Refusal> refuse;
};

// The Python peer (tests/support/apps/hbone_peer.py) with the rig's files.
inline std::vector<std::string> python_peer(const StockRig& rig, const std::string& program,
                                            std::vector<std::string> words) {
  std::vector<std::string> command = {"/usr/bin/python3", program, words.front()};
  for (const std::string name : {"cert", "key", "root"}) {
    command.push_back("--" + name);
    command.push_back(rig.dir / (name + ".pem"));
  }
  command.insert(command.end(), words.begin() + 1, words.end());
  return command;
}

}  // namespace weft::test
