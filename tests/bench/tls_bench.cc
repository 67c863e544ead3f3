// CPU and memory of TLS between two weft workers in one thread: bulk through two transports over TCP on
// loopback, full and resumed handshakes, idle connections. Figures are process CPU of both sides together.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdio>
#include <thread>

#include "tests/support/tls_rig.h"

using namespace weft;

namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Two ends of one TCP connection over loopback.
void tcp_pair(int fds[2]) {
  const base::Fd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in at{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof at;
  CHECK(bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(listener.get(), 1) == 0);
  CHECK(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(fds[0], reinterpret_cast<sockaddr*>(&at), size) == 0);
  fds[1] = accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK);
  CHECK(fds[1] >= 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
}

struct Pair {
  test::Shaken client, server;
};

struct Bench {
  Bench() : loop(*base::Loop::create(clock)), near(clock), far(clock) {
    for (auto* node : {&near, &far}) node->contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    near.contexts->set(test::credential_of(ca.issue({.uris = {a.to_string()}}), a)).value();
    far.contexts->set(test::credential_of(ca.issue({.uris = {b.to_string()}}), b)).value();
  }
  std::unique_ptr<Pair> shake(const std::string& resume_key) {
    auto pair = std::make_unique<Pair>();
    int fds[2];
    tcp_pair(fds);
    begin(near, pair->client, fds[0],
          {.role = tls::Role::kClient, .identity = a, .expected = {b}, .resume_key = resume_key});
    begin(far, pair->server, fds[1], {.role = tls::Role::kServer, .identity = b});
    while (!pair->client.done() || !pair->server.done()) loop->turn(1);
    if (!pair->client.good()) std::printf("%s\n", pair->client.text().c_str());
    CHECK(pair->client.good() && pair->server.good());
    return pair;
  }
  void begin(test::TlsNode& node, test::Shaken& shaken, int fd, tls::HandshakeRequest request) {
    shaken.handshake = *tls::Handshake::start(*loop, *node.contexts, std::make_unique<base::TcpTransport>(base::Fd(fd)),
                                              std::move(request), shaken);
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop;
  test::TestCa ca;
  test::TlsNode near, far;
  model::SpiffeId a = test::spiffe("spiffe://cluster.local/ns/shop/sa/a");
  model::SpiffeId b = test::spiffe("spiffe://cluster.local/ns/shop/sa/b");
};

struct Drain final : base::TransportHandler {
  Drain(base::Loop& loop, base::Transport& t) : transport(t), block(256 * 1024) {
    CHECK(transport.attach(loop, this).has_value());
  }
  void on_readable() override {
    for (;;) {
      const auto io = transport.read(block);
      if (io.kind != base::Io::Kind::kBytes) return;
      total += io.bytes;
    }
  }
  void on_writable() override {}
  base::Transport& transport;
  std::vector<char> block;
  uint64_t total = 0;
};

struct Pump final : base::TransportHandler {
  Pump(base::Loop& loop, base::Transport& t, uint64_t bytes) : transport(t), left(bytes), block(64 * 1024) {
    CHECK(transport.attach(loop, this).has_value());
  }
  void on_readable() override {
    char byte;
    (void)transport.read({&byte, 1});
  }
  void on_writable() override {
    while (left > 0) {
      const iovec piece{block.data(), std::min<uint64_t>(block.size(), left)};
      const auto io = transport.write({&piece, 1});
      if (io.kind != base::Io::Kind::kBytes) return;
      left -= io.bytes;
    }
  }
  base::Transport& transport;
  uint64_t left;
  std::vector<char> block;
};

void bulk(Bench& bench, bool plain) {
  constexpr uint64_t kBytes = 2'000'000'000;
  auto pair = bench.shake("");
  int fds[2];
  tcp_pair(fds);
  base::TcpTransport one{base::Fd(fds[0])}, two{base::Fd(fds[1])};
  base::Transport& from = plain ? static_cast<base::Transport&>(one) : *pair->client.value().transport;
  base::Transport& to = plain ? static_cast<base::Transport&>(two) : *pair->server.value().transport;
  Drain drain(*bench.loop, to);
  Pump pump(*bench.loop, from, kBytes);
  const double begin = cpu_seconds();
  while (drain.total < kBytes) bench.loop->turn(1);
  std::printf("bulk %-22s %6.3f CPU s per GB, both sides\n", plain ? "without TLS" : "through TLS",
              (cpu_seconds() - begin) / (kBytes / 1e9));
}

double handshakes(Bench& bench, const char* what, bool resumed, int count) {
  if (resumed) {
    auto first = bench.shake("x");
    Drain take(*bench.loop, *first->client.value().transport);
    Drain other(*bench.loop, *first->server.value().transport);
    for (int i = 0; i < 4; ++i) bench.loop->turn(0);
  }
  const double begin = cpu_seconds();
  int as_wanted = 0;
  for (int i = 0; i < count; ++i) {
    auto pair = bench.shake(resumed ? "x" : "");
    as_wanted += pair->client.value().peer.resumed == resumed;
    pair->client.value().transport->shutdown_write();
  }
  const double each = (cpu_seconds() - begin) / count * 1e6;
  if (what != nullptr) std::printf("handshake %-17s %6.0f us CPU, both sides (%d of %d)\n", what, each, as_wanted, count);
  return each;
}

void two_threads() {
  double each[2];
  auto run = [&](int i) {
    Bench bench;
    handshakes(bench, nullptr, false, 200);
    each[i] = handshakes(bench, nullptr, false, 1500);
  };
  std::thread first(run, 0), second(run, 1);
  first.join();
  second.join();
  std::printf("handshake full, two workers at once: %.0f and %.0f us CPU\n", each[0], each[1]);
}

void idle(Bench& bench) {
  constexpr int kCount = 1000;
  std::vector<std::unique_ptr<Pair>> held;
  held.push_back(bench.shake(""));
  malloc_trim(0);
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < kCount; ++i) held.push_back(bench.shake(""));
  std::printf("memory of an idle transport with its proof: %zu bytes\n", (mallinfo2().uordblks - before) / (2 * kCount));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";  // bulk, full, resumed, threads, idle; all without
  auto wanted = [&](const char* name) { return only.empty() || only == name; };
  rlimit files{8192, 8192};
  setrlimit(RLIMIT_NOFILE, &files);
  Bench bench;
  if (wanted("bulk")) bulk(bench, true);
  if (wanted("bulk")) bulk(bench, false);
  if (wanted("full")) handshakes(bench, nullptr, false, 300);
  if (wanted("full")) handshakes(bench, "full", false, 3000);
  if (wanted("resumed")) handshakes(bench, "resumed", true, 3000);
  if (wanted("threads")) two_threads();
  if (wanted("idle")) idle(bench);
  return 0;
}
