// TCP and UDP echo for tests. One process, one poll loop, many connections.
//   echo [--port N] [--udp] [--banner TEXT] [--slow BYTES_PER_SECOND] [--close-after BYTES]
// TCP: sends the banner first if there is one, returns every byte, ends when the peer has. --slow reads no
// faster than said and returns nothing. --close-after resets the connection once so many bytes were read.
// UDP: returns datagrams.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kBuffer = 64 << 10;

struct Options {
  uint16_t port = 7777;
  bool udp = false;
  std::string banner;
  size_t slow = 0, close_after = 0;
};

struct Connection {
  int fd = -1;
  std::string pending;     // to be written
  bool peer_done = false;  // it sent its FIN
  bool dead = false;
  size_t total = 0;
  Clock::time_point next_read{};

  [[nodiscard]] bool may_read(Clock::time_point now) const {
    return !peer_done && pending.size() < kBuffer && now >= next_read;
  }
};

int make_socket(const Options& options) {
  const int fd =
      ::socket(AF_INET6, (options.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  // A small window makes the writer feel a slow reader soon.
  const int small = 16 << 10;
  if (options.slow > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(options.port);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      (!options.udp && ::listen(fd, 4096) != 0)) {
    std::perror("echo: listen");
    std::exit(1);
  }
  return fd;
}

[[noreturn]] void serve_udp(int fd) {
  std::vector<char> datagram(65536);
  while (true) {
    pollfd waiting{fd, POLLIN, 0};
    ::poll(&waiting, 1, -1);
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const ssize_t got =
        ::recvfrom(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (got >= 0)
      (void)::sendto(fd, datagram.data(), static_cast<size_t>(got), 0, reinterpret_cast<sockaddr*>(&peer),
                     length);
  }
}

void read_some(Connection& c, const Options& options, Clock::time_point now) {
  char block[16384];
  const size_t want =
      options.slow > 0 ? std::min(sizeof block, std::max<size_t>(options.slow / 10, 1)) : sizeof block;
  const ssize_t got = ::recv(c.fd, block, want, 0);
  if (got < 0) {
    c.dead = errno != EAGAIN && errno != EINTR;
    return;
  }
  if (got == 0) c.peer_done = true;
  c.total += static_cast<size_t>(got);
  if (options.slow > 0) c.next_read = now + std::chrono::milliseconds(100);
  if (options.slow == 0) c.pending.append(block, static_cast<size_t>(got));
  if (options.close_after == 0 || c.total < options.close_after) return;
  const linger abort{1, 0};
  ::setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  c.dead = true;
}

void write_some(Connection& c) {
  const ssize_t sent = ::send(c.fd, c.pending.data(), c.pending.size(), MSG_NOSIGNAL);
  if (sent >= 0) c.pending.erase(0, static_cast<size_t>(sent));
  if (sent < 0 && errno != EAGAIN && errno != EINTR) c.dead = true;
}

void accept_all(int listener, const Options& options, std::list<Connection>* connections) {
  for (int fd = 0; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
    connections->push_back({.fd = fd, .pending = options.banner});
}

[[noreturn]] void serve_tcp(int listener, const Options& options) {
  std::list<Connection> connections;
  std::vector<pollfd> waiting;
  while (true) {
    const auto now = Clock::now();
    waiting.assign(1, {listener, POLLIN, 0});
    for (const Connection& c : connections)
      waiting.push_back(
          {c.fd, static_cast<short>((c.may_read(now) ? POLLIN : 0) | (c.pending.empty() ? 0 : POLLOUT)), 0});
    ::poll(waiting.data(), waiting.size(), options.slow > 0 ? 50 : -1);
    size_t index = 1;
    for (Connection& c : connections) {
      const short ready = waiting[index++].revents;
      if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0 && c.may_read(now)) read_some(c, options, now);
      if (!c.dead && !c.pending.empty()) write_some(c);
      if ((ready & POLLERR) != 0) c.dead = true;
      if (c.peer_done && c.pending.empty()) c.dead = true;
      if (c.dead) ::close(c.fd);
    }
    connections.remove_if([](const Connection& c) { return c.dead; });
    accept_all(listener, options, &connections);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    const bool takes_value = word != "--udp";
    if (word == "--udp")
      options.udp = true;
    else if (word == "--port")
      options.port = static_cast<uint16_t>(std::atoi(value));
    else if (word == "--banner")
      options.banner = std::string(value) + "\n";
    else if (word == "--slow")
      options.slow = static_cast<size_t>(std::atoll(value));
    else if (word == "--close-after")
      options.close_after = static_cast<size_t>(std::atoll(value));
    else {
      std::fprintf(
          stderr,
          "usage: echo [--port N] [--udp] [--banner TEXT] [--slow BYTES_PER_SECOND] [--close-after BYTES]\n");
      return 2;
    }
    if (takes_value) ++i;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = make_socket(options);
  if (options.udp) serve_udp(fd);
  serve_tcp(fd, options);
}
