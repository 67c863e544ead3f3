#include "userspace-proxy/base/transport.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace weft::base {

TcpTransport::~TcpTransport() {
  if (loop_ != nullptr && fd_) loop_->remove(fd_.get(), this);
}

Status TcpTransport::attach(Loop& loop, TransportHandler* handler) {
  handler_ = handler;
  if (loop_ != nullptr) return {};
  TRY(loop.add(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, this));
  loop_ = &loop;
  return {};
}

Io TcpTransport::read(std::span<char> into) {
  if (drained_) return {Io::Kind::kWouldBlock, 0, 0};
  const ssize_t n = ::recv(fd_.get(), into.data(), into.size(), 0);
  if (n > 0) {
    drained_ = loop_ != nullptr && !end_pending_ && static_cast<size_t>(n) < into.size();
    return {Io::Kind::kBytes, static_cast<size_t>(n), 0};
  }
  if (n == 0) return {Io::Kind::kEnd, 0, 0};
  if (errno == EAGAIN || errno == EINTR) return {Io::Kind::kWouldBlock, 0, 0};
  return {Io::Kind::kError, 0, errno};
}

Io TcpTransport::write(std::span<const iovec> from) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(from.data());
  message.msg_iovlen = from.size();
  const ssize_t n = from.size() == 1 ? ::send(fd_.get(), from[0].iov_base, from[0].iov_len, MSG_NOSIGNAL)
                                     : ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  if (n >= 0) return {Io::Kind::kBytes, static_cast<size_t>(n), 0};
  if (errno == EAGAIN || errno == EINTR) return {Io::Kind::kWouldBlock, 0, 0};
  return {Io::Kind::kError, 0, errno};
}

void TcpTransport::shutdown_write() {
  ::shutdown(fd_.get(), SHUT_WR);
}

void TcpTransport::reset() {
  if (!fd_) return;
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  if (loop_ != nullptr) loop_->remove(fd_.get(), this);
  loop_ = nullptr;
  fd_.reset();
}

void TcpTransport::on_io(uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end_pending_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) drained_ = false;
  // Errors and hang-ups surface through read(); a failed connect through write() or SO_ERROR.
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) handler_->on_writable();
  if (fd_ && loop_ != nullptr && handler_ != nullptr &&
      (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0)
    handler_->on_readable();
}

}  // namespace weft::base
