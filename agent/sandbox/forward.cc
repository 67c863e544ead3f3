#include "agent/sandbox/forward.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "agent/sandbox/files.h"
#include "agent/sandbox/launch.h"
#include "userspace-proxy/base/address.h"

namespace weft::sandbox {
namespace {

constexpr int kMaxConnections = 256;

// One direction of a connection.
struct Pipe {
  int from, to;
  std::array<char, 16384> bytes;
  size_t begin = 0, end = 0;
  bool ended = false;

  [[nodiscard]] bool wants_read() const { return !ended && begin == end; }
  [[nodiscard]] bool wants_write() const { return begin < end; }
  bool read() {
    const ssize_t got = ::recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    begin = 0;
    end = static_cast<size_t>(got);
    if (got > 0) return true;
    ended = true;
    return ::shutdown(to, SHUT_WR) == 0;
  }
  bool write() {
    const ssize_t sent = ::send(to, bytes.data() + begin, end - begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    begin += static_cast<size_t>(sent);
    return true;
  }
};

void copy_both_ways(int client, int server) {
  Pipe there{client, server, {}}, back{server, client, {}};
  while (!there.ended || !back.ended || there.wants_write() || back.wants_write()) {
    const auto events = [](const Pipe& in, const Pipe& out) {
      return static_cast<short>((in.wants_read() ? POLLIN : 0) | (out.wants_write() ? POLLOUT : 0));
    };
    pollfd waiting[] = {{client, events(there, back), 0}, {server, events(back, there), 0}};
    if (::poll(waiting, 2, -1) < 0) return;
    const auto ready = [](const pollfd& p, short what) {
      return (p.revents & (what | POLLHUP | POLLERR)) != 0;
    };
    if (there.wants_read() && ready(waiting[0], POLLIN) && !there.read()) return;
    if (back.wants_read() && ready(waiting[1], POLLIN) && !back.read()) return;
    if (there.wants_write() && !there.write()) return;
    if (back.wants_write() && !back.write()) return;
  }
}

void carry(base::Fd client, const std::string& target) {
  auto address = base::SocketAddress::parse(target);
  if (!address) return;
  sockaddr_storage storage{};
  const socklen_t length = address->to_sockaddr(&storage);
  base::Fd server(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!server || ::connect(server.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return;
  copy_both_ways(client.get(), server.get());
}

base::Result<base::Fd> listen_on_loopback(uint16_t port) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  const socklen_t length =
      base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), port}.to_sockaddr(&storage);
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
      ::listen(fd.get(), 128) != 0)
    return base::fail_errno("listen on 127.0.0.1:" + std::to_string(port));
  return fd;
}

std::string port_file(const Layout& layout) {
  return layout.in_state("forward-port");
}

}  // namespace

uint16_t forward_port(const Layout& layout) {
  return static_cast<uint16_t>(std::atoi(read_file(port_file(layout)).value_or("0").c_str()));
}

base::Status forward(const Layout& layout) {
  ::signal(SIGPIPE, SIG_IGN);
  // The port of a former process first: what users noted stays right.
  auto listener = listen_on_loopback(forward_port(layout));
  if (!listener) listener = listen_on_loopback(0);
  if (!listener) return std::unexpected(listener.error());
  TRY_ASSIGN(const auto local, base::local_address(listener->get()));
  TRY(write_file(port_file(layout), std::to_string(local.port)));
  // The listening socket stays in the root namespace; what is made from here on dials inside the sandbox.
  TRY(enter_netns(layout.netns("outside")));
  std::atomic<int> open = 0;
  while (true) {
    base::Fd client(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client && errno != EINTR && errno != ECONNABORTED) ::poll(nullptr, 0, 100);
    if (!client || open >= kMaxConnections) continue;
    const std::string target = read_file(layout.in_state("forward-target")).value_or("");
    ++open;
    std::thread([&open, target, fd = client.release()] {
      carry(base::Fd(fd), target);
      --open;
    }).detach();
  }
}

}  // namespace weft::sandbox
