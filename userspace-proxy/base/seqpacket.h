#pragma once
// Packets with descriptors beside them, over a connected Unix SOCK_SEQPACKET socket; and memory that cannot
// change under its reader.
#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/base/transport.h"

namespace weft::base {

// Sends one packet, never part of one. kWouldBlock also when too many descriptors are in flight
// (ETOOMANYREFS): try again a little later, no event will tell.
[[nodiscard]] Io send_packet(int socket, std::string_view bytes, std::span<const int> fds = {});

struct Packet {
  std::string bytes;
  std::vector<Fd> fds;
};
// Receives one packet of at most `max_bytes` and `max_fds`; a larger one is an error (EMSGSIZE), its
// descriptors are closed. Descriptors arrive close-on-exec.
[[nodiscard]] Io receive_packet(int socket, size_t max_bytes, size_t max_fds, Packet* out);

[[nodiscard]] Result<Fd> listen_seqpacket(const std::string& path, mode_t mode);
// Non-blocking. ECONNREFUSED or ENOENT: nobody listens.
[[nodiscard]] Result<Fd> connect_seqpacket(const std::string& path);

// A memfd holding `bytes`, sealed against writing, growing and shrinking.
[[nodiscard]] Result<Fd> seal_memory(const char* name, std::string_view bytes);

// A read-only view of a sealed memfd of exactly `bytes` bytes; anything that is not one is refused.
class SealedView {
 public:
  static Result<SealedView> map(int fd, size_t bytes);
  SealedView(SealedView&& other) noexcept : view_(std::exchange(other.view_, {})) {}
  SealedView& operator=(SealedView&&) = delete;
  SealedView(const SealedView&) = delete;
  SealedView& operator=(const SealedView&) = delete;
  ~SealedView();
  [[nodiscard]] std::string_view bytes() const { return view_; }

 private:
  explicit SealedView(std::string_view view) : view_(view) {}
  std::string_view view_;
};

}  // namespace weft::base
