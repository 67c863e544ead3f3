// CPU and memory of HBONE between two weft workers in one thread, over mutual TLS and TCP on loopback: both ends of
// the tunnel, their relays and nothing of the applications (those live in other threads). Figures are CPU of the
// proxying thread, so both sides together.
//
//   client threads --tcp--> [relay = HBONE stream] ==TLS==> [HBONE stream = relay] --tcp--> server threads
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <list>
#include <thread>
#include <unordered_map>

#include "tests/support/tls_rig.h"
#include "userspace-proxy/connect/stock_dialer.h"
#include "userspace-proxy/hbone/dialer.h"
#include "userspace-proxy/hbone/inbound.h"
#include "userspace-proxy/hbone/tls_securer.h"
#include "userspace-proxy/relay/relay.h"

using namespace weft;

namespace {

double cpu_seconds(clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

base::Fd listener(uint16_t* port) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  auto address = loopback(0);
  CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd.get(), 4096) == 0);
  socklen_t length = sizeof address;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  *port = ntohs(address.sin_port);
  return fd;
}

void prepare(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

int dial_blocking(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  auto address = loopback(port);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  prepare(fd);
  return fd;
}

struct NoReports final : connect::StockReports {
  void on_stock_changes(std::vector<connect::StockChange>) override {}
};

// Accepts, non-blocking, for whoever.
struct Door final : base::IoHandler {
  template <typename Taken>
  Door(base::Loop& loop, Taken taken) : fd(listener(&port)), on_taken(std::move(taken)) {
    fcntl_nonblock();
    CHECK(loop.add(fd.get(), EPOLLIN, this).has_value());
  }
  void fcntl_nonblock() const {
    int on = 1;
    ioctl(fd.get(), FIONBIO, &on);
  }
  void on_io(uint32_t) override {
    for (;;) {
      base::Fd taken(::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK));
      if (!taken) return;
      prepare(taken.get());
      on_taken(std::move(taken));
    }
  }
  uint16_t port = 0;
  base::Fd fd;
  std::function<void(base::Fd)> on_taken;
};

// Real TLS, which may be told not to resume.
struct BenchSecurer final : hbone::Securer {
  BenchSecurer(base::Loop& loop, tls::Contexts& contexts) : real(loop, contexts) {}
  std::unique_ptr<hbone::Securing> secure(std::unique_ptr<base::Transport> tcp, std::string_view peer,
                                          const model::SpiffeId& own, std::span<const model::SpiffeId> accepted,
                                          hbone::SecureHandler& handler) override {
    const auto name = resume ? std::string(peer) : std::to_string(++number);
    return real.secure(std::move(tcp), name, own, accepted, handler);
  }
  hbone::TlsSecurer real;
  bool resume = true;
  int number = 0;
};

struct Proxy : hbone::InboundOwner, relay::RelayOwner {
  // One connection of an application, until it is a relay.
  struct Flow final : base::Retirable, connect::DialHandler {
    Flow(Proxy& its_proxy) : proxy(its_proxy) {}
    void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override {
      if (!outcome) std::printf("%s\n", base::describe(outcome.error()).c_str());
      CHECK(outcome.has_value());
      auto held = std::move(dial);  // a Dial may go in here
      proxy.dialled(*this, std::move(*outcome));
    }
    Proxy& proxy;
    std::unique_ptr<connect::Dial> dial;
    std::unique_ptr<hbone::InboundRequest> request;
    std::unique_ptr<base::Transport> app;
    std::unique_ptr<relay::Relay> relay;
    std::list<std::unique_ptr<Flow>>::iterator place;
  };
  struct Shake final : base::Retirable, tls::HandshakeHandler {
    Shake(Proxy& its_proxy) : proxy(its_proxy) {}
    void on_handshake(base::Result<tls::Established> outcome) override {
      CHECK(outcome.has_value());
      proxy.secured(*this, std::move(*outcome));
    }
    Proxy& proxy;
    std::unique_ptr<tls::Handshake> handshake;
    std::list<std::unique_ptr<Shake>>::iterator place;
  };

  explicit Proxy(uint16_t server_port)
      : app_port(server_port),
        loop(*base::Loop::create(clock)),
        near(clock),
        far(clock),
        engine(*loop, counters),
        tcp(*loop, counters, reports),
        securer(*loop, *near.contexts),
        dialer(engine, tcp, securer),
        outbound(*loop, [this](base::Fd fd) { from_app(std::move(fd)); }),
        inbound(*loop, [this](base::Fd fd) { from_tunnel(std::move(fd)); }) {
    for (auto* node : {&near, &far}) node->contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    near.contexts->set(test::credential_of(ca.issue({.uris = {a.to_string()}}), a)).value();
    far.contexts->set(test::credential_of(ca.issue({.uris = {b.to_string()}}), b)).value();
  }

  Flow& add() {
    flows.push_front(std::make_unique<Flow>(*this));
    flows.front()->place = flows.begin();
    return *flows.front();
  }
  void from_app(base::Fd fd) {
    Flow& flow = add();
    flow.app = std::make_unique<base::TcpTransport>(std::move(fd));
    const std::string authority = "127.0.0.1:" + std::to_string(app_port);
    flow.dial = dialer.dial({.pod = {},
                             .source = a,
                             .destination = {base::Address::v4(INADDR_LOOPBACK), inbound.port},
                             .accepted = {&b, 1},
                             .authority = authority,
                             .baggage = "k8s.cluster.name=c,k8s.namespace.name=shop,service.name=a",
                             .forwarded = "for=\"10.0.0.9:40000\"",
                             .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
                            flow);
  }
  void from_tunnel(base::Fd fd) {
    shakes.push_front(std::make_unique<Shake>(*this));
    Shake& shake = *shakes.front();
    shake.place = shakes.begin();
    shake.handshake =
        *tls::Handshake::start(*loop, *far.contexts, std::make_unique<base::TcpTransport>(std::move(fd)),
                               {.role = tls::Role::kServer, .identity = b}, shake);
  }
  void secured(Shake& shake, tls::Established established) {
    hbone::InboundTunnel::Peer peer;
    peer.pod = base::Address::v4(INADDR_LOOPBACK);
    peer.proof = std::make_shared<const tls::PeerProof>(std::move(established.peer));
    tunnels.push_back(std::make_unique<hbone::InboundTunnel>(engine, std::move(established.transport), std::move(peer),
                                                             hbone::InboundTunnel::Times{}, *this));
    tunnels.back()->start();
    auto own = std::move(*shake.place);
    shakes.erase(shake.place);
    loop->retire(std::move(own));
  }
  void on_request(hbone::InboundTunnel&, std::unique_ptr<hbone::InboundRequest> request) override {
    Flow& flow = add();
    flow.request = std::move(request);
    flow.dial = tcp.dial({.pod = {},
                          .destination = {base::Address::v4(INADDR_LOOPBACK), app_port},
                          .client = {}},
                         flow);
  }
  void dialled(Flow& flow, std::unique_ptr<base::Transport> transport) {
    auto other = flow.request ? flow.request->accept() : std::move(flow.app);
    flow.request.reset();
    flow.relay = std::make_unique<relay::Relay>(*loop, relay::Workbench{scratch, pipes}, std::move(other),
                                                std::move(transport), *this);
    by_relay[flow.relay.get()] = &flow;
    flow.relay->start();
  }
  void on_relay_end(relay::Relay& relay) override {
    const auto found = by_relay.find(&relay);
    Flow& flow = *found->second;
    by_relay.erase(found);
    auto own = std::move(*flow.place);
    flows.erase(flow.place);
    loop->retire(std::move(own));
  }
  void on_refused(hbone::InboundTunnel&, hbone::Refusal, std::string_view authority, std::string_view why) override {
    std::printf("refused %.*s: %.*s\n", int(authority.size()), authority.data(), int(why.size()), why.data());
  }
  void on_tunnel_over(hbone::InboundTunnel& tunnel) override {
    const auto found = std::ranges::find_if(tunnels, [&](const auto& t) { return t.get() == &tunnel; });
    loop->retire(std::move(*found));
    tunnels.erase(found);
  }

  uint16_t app_port;
  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop;
  test::TestCa ca;
  model::SpiffeId a = test::spiffe("spiffe://cluster.local/ns/shop/sa/a");
  model::SpiffeId b = test::spiffe("spiffe://cluster.local/ns/shop/sa/b");
  test::TlsNode near, far;
  observe::Counters counters;
  hbone::Engine engine;
  NoReports reports;
  connect::StockDialer tcp;
  BenchSecurer securer;
  hbone::TunnelDialer dialer;
  Door outbound, inbound;
  std::vector<char> scratch = std::vector<char>(64 * 1024);
  relay::Pipes pipes;
  std::list<std::unique_ptr<Flow>> flows;
  std::list<std::unique_ptr<Shake>> shakes;
  std::unordered_map<relay::Relay*, Flow*> by_relay;
  std::vector<std::unique_ptr<hbone::InboundTunnel>> tunnels;
};

// ---- applications

// Every connection in a thread of its own: an echo, or a sink that reads all and answers once at the end.
void serve(int listen_fd, bool echo) {
  for (;;) {
    const int fd = ::accept(listen_fd, nullptr, nullptr);
    if (fd < 0) return;
    prepare(fd);
    std::thread([fd, echo] {
      char block[256 * 1024];  // not from the heap, which is measured
      for (;;) {
        const ssize_t n = ::recv(fd, block, sizeof block, 0);
        if (n <= 0) break;
        if (echo) (void)!::send(fd, block, static_cast<size_t>(n), MSG_NOSIGNAL);
      }
      if (!echo) (void)!::send(fd, "x", 1, MSG_NOSIGNAL);
      ::close(fd);
    }).detach();
  }
}

// Turns the proxy while `work` runs in threads; CPU seconds of the proxying thread.
template <typename Work>
double measure(Proxy& proxy, int threads, Work&& work) {
  std::atomic<int> left = threads;
  std::vector<std::thread> workers;
  const double before = cpu_seconds();
  for (int i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      work();
      --left;
      proxy.loop->post([] {});
    });
  while (left > 0) proxy.loop->turn(100);
  const double spent = cpu_seconds() - before;
  for (auto& worker : workers) worker.join();
  for (int i = 0; i < 50; ++i) proxy.loop->turn(1);
  return spent;
}

double wall() {
  return cpu_seconds(CLOCK_MONOTONIC);
}

void bulk(Proxy& proxy) {
  constexpr uint64_t kBytes = 2'000'000'000;
  const double begun = wall();
  const double cpu = measure(proxy, 1, [&] {
    const int fd = dial_blocking(proxy.outbound.port);
    std::vector<char> block(256 * 1024);
    for (uint64_t left = kBytes; left > 0;) {
      const ssize_t n = ::send(fd, block.data(), std::min<uint64_t>(left, block.size()), MSG_NOSIGNAL);
      CHECK(n > 0);
      left -= static_cast<uint64_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
    char byte;
    CHECK(::recv(fd, &byte, 1, 0) == 1);
    ::close(fd);
  });
  const double seconds = wall() - begun;
  std::printf("bulk: %.3f CPU s per GB both sides, %.1f Gbit/s\n", cpu / (kBytes / 1e9), kBytes * 8e-9 / seconds);
}

void trips(Proxy& proxy, int connections) {
  const int kTrips = connections == 1 ? 30'000 : 100'000 / connections;
  std::vector<double> times;
  const double begun = wall();
  const double cpu = measure(proxy, connections, [&] {
    const int fd = dial_blocking(proxy.outbound.port);
    char request[100] = {}, answer[100];
    for (int i = 0; i < kTrips; ++i) {
      const double at = connections == 1 ? wall() : 0;
      CHECK(::send(fd, request, sizeof request, 0) == sizeof request);
      for (size_t got = 0; got < sizeof answer;) {
        const ssize_t n = ::recv(fd, answer + got, sizeof answer - got, 0);
        CHECK(n > 0);
        got += static_cast<size_t>(n);
      }
      if (connections == 1) times.push_back(wall() - at);
    }
    ::close(fd);
  });
  const double total = static_cast<double>(kTrips) * connections;
  std::printf("%d keep-alive connections, 100 B each way: %.1f us CPU a round trip both sides, %.0f/s", connections,
              cpu / total * 1e6, total / (wall() - begun));
  if (!times.empty()) {
    std::ranges::nth_element(times, times.begin() + static_cast<ptrdiff_t>(times.size() / 2));
    std::printf(", p50 %.3f ms", times[times.size() / 2] * 1e3);
  }
  std::printf("\n");
}

void connections(Proxy& proxy) {
  constexpr int kThreads = 8, kEach = 1'500;
  const double begun = wall();
  const double cpu = measure(proxy, kThreads, [&] {
    for (int i = 0; i < kEach; ++i) {
      const int fd = dial_blocking(proxy.outbound.port);
      char byte = 'x';
      CHECK(::send(fd, &byte, 1, 0) == 1 && ::recv(fd, &byte, 1, 0) == 1);
      ::close(fd);
    }
  });
  std::printf("new connections over pooled tunnels: %.1f us CPU each both sides, %.0f/s (tunnels: %zu)\n",
              cpu / (kThreads * kEach) * 1e6, kThreads * kEach / (wall() - begun), proxy.dialer.tunnels());
}

// Every connection over a tunnel of its own, which ends with it.
void fresh_tunnels(Proxy& proxy, bool resume) {
  constexpr int kCount = 400;
  proxy.securer.resume = resume;
  const auto full = proxy.near.counters.tls_handshakes_full, resumed = proxy.near.counters.tls_handshakes_resumed;
  std::atomic<int> done = 0;
  const double cpu = measure(proxy, 1, [&] {
    for (int i = 0; i < kCount; ++i) {
      const int fd = dial_blocking(proxy.outbound.port);
      char byte = 'x';
      CHECK(::send(fd, &byte, 1, 0) == 1 && ::recv(fd, &byte, 1, 0) == 1);
      ::close(fd);
      proxy.loop->post([&] {
        proxy.dialer.forget_identity(proxy.a);
        ++done;
      });
      while (done <= i) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  std::printf("a fresh tunnel and its first stream: %.0f us CPU both sides (%lu full, %lu resumed)\n",
              cpu / kCount * 1e6, proxy.near.counters.tls_handshakes_full - full,
              proxy.near.counters.tls_handshakes_resumed - resumed);
}

size_t heap() {
  return mallinfo2().uordblks;
}

size_t resident() {
  size_t pages = 0, total = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu %zu", &total, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return pages * 4096;
}

void memory(Proxy& proxy) {
  malloc_trim(0);
  std::vector<int> fds;
  const auto open = [&](int count) {
    for (int i = 0; i < count; ++i) {
      measure(proxy, 1, [&] {
        const int fd = dial_blocking(proxy.outbound.port);
        char byte = 'x';
        CHECK(::send(fd, &byte, 1, 0) == 1 && ::recv(fd, &byte, 1, 0) == 1);
        fds.push_back(fd);
      });
    }
  };
  open(1);
  const size_t before = heap();
  open(12);
  const double stream = static_cast<double>(heap() - before) / 12;
  std::printf("an idle stream with its relays and sockets: %.0f B of heap both sides\n", stream);
  const size_t tunnels_before = proxy.dialer.tunnels(), at = heap();
  for (int i = 0; i < 20; ++i) {
    proxy.dialer.renew(proxy.a);  // the next goes over a new tunnel
    open(1);
  }
  const double tunnel = static_cast<double>(heap() - at) / 20 - stream;
  std::printf("an idle tunnel: %.1f KB of heap both sides (%zu made)\n", tunnel / 1024,
              proxy.dialer.tunnels() - tunnels_before);
  // Pages, since what is allocated and never touched costs none. Threads of the application are in it too.
  const size_t resident_before = resident();
  for (int i = 0; i < 200; ++i) {
    proxy.dialer.renew(proxy.a);
    open(1);
  }
  std::printf("an idle tunnel with its stream and two threads of an application: %.1f KB resident both sides\n",
              static_cast<double>(resident() - resident_before) / 200 / 1024);
  for (const int fd : fds) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view only = argc > 1 ? argv[1] : "";
  const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
  uint16_t sink_port = 0, echo_port = 0;
  const auto sink = listener(&sink_port), echo = listener(&echo_port);
  std::thread([&] { serve(sink.get(), false); }).detach();
  std::thread([&] { serve(echo.get(), true); }).detach();
  if (wanted("bulk")) {
    auto proxy = std::make_unique<Proxy>(sink_port);
    bulk(*proxy);
  }
  auto proxy = std::make_unique<Proxy>(echo_port);
  if (wanted("memory")) memory(*proxy);
  if (wanted("trips")) trips(*proxy, 1), trips(*proxy, 32);
  if (wanted("connections")) connections(*proxy);
  if (wanted("fresh")) fresh_tunnels(*proxy, false), fresh_tunnels(*proxy, true);
  std::fflush(stdout);
  _exit(0);
}
