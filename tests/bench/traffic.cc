// Both ends of the traffic that mtls_bench.py sends through proxies. Every socket asks for cubic, so that no pacing of
// the machine's own choice hides the path. Prints one JSON line.
//   bench_traffic serve ADDRESS PORT                      echoes; from 'B' to 'E' is swallowed and its length told
//   bench_traffic bulk ADDRESS PORT SECONDS               one connection, as fast as it goes
//   bench_traffic churn ADDRESS PORT SECONDS CONNECTIONS  connect, 64 bytes and back, close; so many at a time
//   bench_traffic idle ADDRESS,ADDRESS... PORT COUNT      COUNT connections to each, used once, kept until stdin ends
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMessage = 64, kBlock = 128 << 10;
constexpr int kEvents = 256;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bench_traffic: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void must(bool ok, const char* what) {
  if (!ok) die(what);
}

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

sockaddr_in address_of(const std::string& host, const char* port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  must(::inet_pton(AF_INET, host.c_str(), &out.sin_addr) == 1, "not an IPv4 address");
  return out;
}

int make_socket(int flags) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), on = 1;
  must(fd >= 0, "socket");
  // Not fatal: who may not choose gets the namespace's default, and the bench says which one that is.
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  must(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
  return fd;
}

int connect_now(const sockaddr_in& target) {
  const int fd = make_socket(0);
  const timeval limit{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  must(::connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0, "connect");
  return fd;
}

void exchange(int fd) {
  std::array<char, kMessage> bytes{};
  must(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == kMessage, "send");
  must(::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) == kMessage, "recv");
}

void watch(int epoll, int operation, int fd, uint32_t events, uint64_t what) {
  epoll_event event{.events = events, .data = {.u64 = what}};
  must(::epoll_ctl(epoll, operation, fd, &event) == 0, "epoll_ctl");
}

// One connection of the server; indexed by descriptor.
struct Served {
  bool begun = false, swallow = false;
  uint64_t total = 0;
};

// False: the connection is over.
bool serve_some(int fd, Served* one, std::vector<char>* block) {
  const ssize_t got = ::recv(fd, block->data(), block->size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (!one->begun) one->swallow = block->front() == 'B';
  one->begun = true;
  one->total += static_cast<uint64_t>(got);
  if (!one->swallow) return ::send(fd, block->data(), static_cast<size_t>(got), MSG_NOSIGNAL) == got;
  // The end is a byte and not a FIN, since not every proxy passes on a half-close.
  if ((*block)[static_cast<size_t>(got) - 1] != 'E') return true;
  return ::send(fd, &one->total, sizeof one->total, MSG_NOSIGNAL) == sizeof one->total;
}

[[noreturn]] void serve(const sockaddr_in& address) {
  const int listener = make_socket(SOCK_NONBLOCK), epoll = ::epoll_create1(EPOLL_CLOEXEC), on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  must(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  must(::listen(listener, 4096) == 0, "listen");
  watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, static_cast<uint64_t>(listener));
  std::vector<Served> served;
  std::vector<char> block(kBlock);
  std::array<epoll_event, kEvents> events;
  while (true) {
    const int ready = ::epoll_wait(epoll, events.data(), kEvents, -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = static_cast<int>(events[static_cast<size_t>(i)].data.u64);
      if (fd != listener) {
        if (!serve_some(fd, &served[static_cast<size_t>(fd)], &block)) ::close(fd);
        continue;
      }
      for (int next = 0; (next = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        if (served.size() <= static_cast<size_t>(next)) served.resize(static_cast<size_t>(next) + 1);
        served[static_cast<size_t>(next)] = {};
        watch(epoll, EPOLL_CTL_ADD, next, EPOLLIN, static_cast<uint64_t>(next));
      }
    }
  }
}

void bulk(const sockaddr_in& target, double seconds) {
  const int fd = connect_now(target);
  const std::vector<char> block(kBlock, 'B');
  const auto started = Clock::now();
  uint64_t sent = 0, arrived = 0;
  while (seconds_since(started) < seconds) {
    const ssize_t n = ::send(fd, block.data(), block.size(), MSG_NOSIGNAL);
    must(n > 0, "send");
    sent += static_cast<uint64_t>(n);
  }
  must(::send(fd, "E", 1, MSG_NOSIGNAL) == 1, "send");
  must(::recv(fd, &arrived, sizeof arrived, MSG_WAITALL) == sizeof arrived, "recv");
  const double took = seconds_since(started);
  if (arrived != sent + 1) die("not every byte arrived");
  std::printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(arrived), took);
}

void print_times(std::vector<double>* times, double took, uint64_t errors, int last_error) {
  std::ranges::sort(*times);
  const auto at = [&](size_t percent) {
    return times->empty() ? 0.0 : (*times)[std::min(times->size() - 1, times->size() * percent / 100)] * 1e6;
  };
  std::printf(
      "{\"count\": %zu, \"seconds\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"errors\": %llu, "
      "\"last_error\": \"%s\"}\n",
      times->size(), took, at(50), at(99), static_cast<unsigned long long>(errors),
      last_error != 0 ? std::strerror(last_error) : "");
}

// Connections one after the other in each of a few slots.
class Churn {
 public:
  Churn(const sockaddr_in& target, size_t slots) : target_(target), slots_(slots) {}

  void run(double seconds) {
    const auto started = Clock::now();
    for (size_t i = 0; i < slots_.size(); ++i) open(i);
    std::array<epoll_event, kEvents> events;
    while (seconds_since(started) < seconds) {
      const int ready = ::epoll_wait(epoll_, events.data(), kEvents, 100);
      for (int i = 0; i < ready; ++i) advance(events[static_cast<size_t>(i)].data.u64);
    }
    print_times(&times_, seconds_since(started), errors_, last_error_);
  }

 private:
  struct Slot {
    int fd = -1;
    bool sent = false;
    size_t got = 0;
    Clock::time_point started;
  };

  void open(size_t index) {
    Slot& slot = slots_[index];
    slot = {.fd = make_socket(SOCK_NONBLOCK), .started = Clock::now()};
    const int done = ::connect(slot.fd, reinterpret_cast<const sockaddr*>(&target_), sizeof target_);
    if (done != 0 && errno != EINPROGRESS) return fail(index, errno);
    watch(epoll_, EPOLL_CTL_ADD, slot.fd, EPOLLOUT, index);
  }

  void advance(size_t index) {
    Slot& slot = slots_[index];
    std::array<char, kMessage> bytes{};
    if (!slot.sent) {
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(slot.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) return fail(index, error);
      if (::send(slot.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != kMessage) return fail(index, errno);
      slot.sent = true;
      watch(epoll_, EPOLL_CTL_MOD, slot.fd, EPOLLIN, index);
      return;
    }
    const ssize_t n = ::recv(slot.fd, bytes.data(), bytes.size(), 0);
    if (n <= 0) return n < 0 && errno == EAGAIN ? void() : fail(index, n == 0 ? ECONNABORTED : errno);
    slot.got += static_cast<size_t>(n);
    if (slot.got < kMessage) return;
    times_.push_back(seconds_since(slot.started));
    ::close(slot.fd);
    open(index);
  }

  void fail(size_t index, int error) {
    ::close(slots_[index].fd);
    last_error_ = error;
    if (++errors_ >= kMaxErrors) {
      errno = error;
      die("gave up: too many connections failed");
    }
    ::usleep(1000);
    open(index);
  }

  static constexpr uint64_t kMaxErrors = 1000;
  sockaddr_in target_;
  std::vector<Slot> slots_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<double> times_;
  uint64_t errors_ = 0;
  int last_error_ = 0;
};

void idle(const std::string& hosts, const char* port, int count) {
  std::istringstream list(hosts);
  size_t held = 0;
  for (std::string host; std::getline(list, host, ',');)
    for (int i = 0; i < count; ++i, ++held) exchange(connect_now(address_of(host, port)));
  std::printf("{\"held\": %zu}\n", held);
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

int usage() {
  std::fprintf(stderr, "usage: bench_traffic serve|bulk|churn|idle ADDRESS PORT [SECONDS|COUNT] [CONNECTIONS]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return usage();
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::string mode = argv[1];
  const double amount = argc > 4 ? std::atof(argv[4]) : 1;
  if (mode == "idle") {
    idle(argv[2], argv[3], static_cast<int>(amount));
    return 0;
  }
  const sockaddr_in target = address_of(argv[2], argv[3]);
  if (mode == "serve") serve(target);
  if (mode == "bulk")
    bulk(target, amount);
  else if (mode == "churn")
    Churn(target, argc > 5 ? static_cast<size_t>(std::max(1, std::atoi(argv[5]))) : 8).run(amount);
  else
    return usage();
  return 0;
}
