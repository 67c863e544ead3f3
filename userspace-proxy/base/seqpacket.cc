#include "userspace-proxy/base/seqpacket.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace weft::base {
namespace {

constexpr size_t kMostFds = 64;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

struct alignas(cmsghdr) FdSpace {
  std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> bytes{};
};

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::kInvalid, "socket path " + path + ": empty or too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

void take_fds(msghdr& message, std::vector<Fd>* out) {
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      out->emplace_back(fd);
    }
  }
}

Io io_error() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {.kind = Io::Kind::kWouldBlock, .sys_errno = errno};
  return {.kind = Io::Kind::kError, .sys_errno = errno};
}

}  // namespace

Io send_packet(int socket, std::string_view bytes, std::span<const int> fds) {
  CHECK(fds.size() <= kMostFds);
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  FdSpace space;
  if (!fds.empty()) {
    message.msg_control = space.bytes.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
  }
  const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return {.kind = Io::Kind::kBytes, .bytes = static_cast<size_t>(sent)};
  if (errno == ETOOMANYREFS) return {.kind = Io::Kind::kWouldBlock, .sys_errno = errno};
  return io_error();
}

Io receive_packet(int socket, size_t max_bytes, size_t max_fds, Packet* out) {
  CHECK(max_fds <= kMostFds);
  out->bytes.resize(max_bytes);
  out->fds.clear();
  iovec part{.iov_base = out->bytes.data(), .iov_len = out->bytes.size()};
  FdSpace space;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.bytes.data();
  message.msg_controllen = space.bytes.size();
  const ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return io_error();
  take_fds(message, &out->fds);
  out->bytes.resize(static_cast<size_t>(got));
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || out->fds.size() > max_fds) {
    out->fds.clear();
    return {.kind = Io::Kind::kError, .sys_errno = EMSGSIZE};
  }
  // An empty packet is never sent: it reads like the end of the stream.
  if (got == 0) return {.kind = Io::Kind::kEnd};
  return {.kind = Io::Kind::kBytes, .bytes = static_cast<size_t>(got)};
}

Result<Fd> listen_seqpacket(const std::string& path, mode_t mode) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  unlink(path.c_str());
  // Made closed to everyone, then opened as asked: nobody slips in between.
  const mode_t before = umask(0777);
  const int bound = bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_errno = errno;
  umask(before);
  if (bound != 0) return fail_errno(bind_errno, "bind " + path);
  if (chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path);
  if (listen(socket.get(), 16) != 0) return fail_errno("listen " + path);
  return socket;
}

Result<Fd> connect_seqpacket(const std::string& path) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect " + path);
  return socket;
}

Result<Fd> seal_memory(const char* name, std::string_view bytes) {
  Fd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return fail_errno("memfd_create");
  while (!bytes.empty()) {
    const ssize_t n = write(memory.get(), bytes.data(), bytes.size());
    if (n < 0) return fail_errno("write to memfd");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno("seal memfd");
  return memory;
}

Result<SealedView> SealedView::map(int fd, size_t bytes) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return fail(ErrorKind::kInvalid, "not a sealed memfd");
  struct stat status{};
  if (fstat(fd, &status) != 0) return fail_errno("fstat");
  if (bytes == 0 || static_cast<size_t>(status.st_size) != bytes)
    return fail(ErrorKind::kInvalid, "a memfd of another size than announced");
  void* start = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (start == MAP_FAILED) return fail_errno("mmap");
  return SealedView({static_cast<const char*>(start), bytes});
}

SealedView::~SealedView() {
  if (!view_.empty()) munmap(const_cast<char*>(view_.data()), view_.size());
}

}  // namespace weft::base
