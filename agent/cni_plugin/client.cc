#include "agent/cni_plugin/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "userspace-proxy/base/fd.h"

namespace weft::cni {
namespace {

using base::fail;
using base::fail_errno;

class Deadline {
 public:
  explicit Deadline(base::Nanos limit) : end_(std::chrono::steady_clock::now() + limit) {}
  [[nodiscard]] int left_ms() const {
    const auto left = end_ - std::chrono::steady_clock::now();
    return left.count() <= 0 ? 0
                             : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }

 private:
  std::chrono::steady_clock::time_point end_;
};

base::Status wait_for(int socket, short events, const Deadline& deadline) {
  for (;;) {
    pollfd one{.fd = socket, .events = events, .revents = 0};
    const int ready = poll(&one, 1, deadline.left_ms());
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno("poll");
    return fail(base::ErrorKind::kTimeout, "no answer within the time that a pod's start may take");
  }
}

base::Result<base::Fd> connect_to(const std::string& path, const Deadline& deadline) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path)
    return fail(base::ErrorKind::kInvalid, path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  while (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    // EAGAIN: the agent's queue is full; nothing tells when there is room.
    if (errno != EAGAIN && errno != EINTR) return fail_errno("connect " + path);
    if (deadline.left_ms() == 0) return fail(base::ErrorKind::kTimeout, path + ": the agent accepts nobody");
    const timespec pause{.tv_sec = 0, .tv_nsec = 20'000'000};
    nanosleep(&pause, nullptr);
  }
  return socket;
}

}  // namespace

base::Result<Answer> ask_agent(const std::string& socket, const Request& request, base::Nanos limit) {
  const Deadline deadline(limit);
  const std::string packet = encode(request);
  if (packet.size() > kMaxPacketBytes) return fail(base::ErrorKind::kLimit, "the request is too long");
  TRY_ASSIGN(base::Fd connection, connect_to(socket, deadline));
  TRY(wait_for(connection.get(), POLLOUT, deadline));
  if (send(connection.get(), packet.data(), packet.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(packet.size()))
    return fail_errno("send to " + socket);
  TRY(wait_for(connection.get(), POLLIN, deadline));
  std::array<char, kMaxPacketBytes> buffer;
  const ssize_t got = recv(connection.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return fail_errno("receive from " + socket);
  if (got == 0) return fail(base::ErrorKind::kClosed, "the agent hung up without an answer");
  return decode_answer({buffer.data(), static_cast<size_t>(got)});
}

}  // namespace weft::cni
