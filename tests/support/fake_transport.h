#pragma once
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include "userspace-proxy/base/transport.h"

namespace weft::test {

// What the far end of a FakeTransport does and sees. Kept by the test; outlives the transport.
struct FarEnd {
  std::string to_read;       // bytes the far end has sent and nobody has read yet
  bool ended = false;        // the far end has sent its FIN
  bool broken = false;       // the far end has sent its RST
  size_t window = SIZE_MAX;  // bytes the far end still takes
  std::string written;       // bytes that arrived at the far end
  bool saw_end = false;      // our FIN arrived
  bool saw_reset = false;    // our RST arrived
  bool alive = true;         // the transport exists
  int descriptor = -1;       // what the transport says it stands on
  bool lends = false;        // the transport lends what came in, in two pieces
  base::TransportHandler* handler = nullptr;

  void sends(std::string_view bytes) {
    to_read += bytes;
    if (handler != nullptr) handler->on_readable();
  }
  void ends() {
    ended = true;
    handler->on_readable();
  }
  void resets() {
    broken = true;
    to_read.clear();
    handler->on_writable();
    handler->on_readable();
  }
  void takes(size_t more) {
    window += more;
    handler->on_writable();
  }
};

// A transport without a kernel: the test plays the far end by hand.
class FakeTransport final : public base::Transport {
 public:
  explicit FakeTransport(FarEnd& far) : far_(far) {}
  ~FakeTransport() override {
    far_.alive = false;
    far_.handler = nullptr;
  }

  base::Status attach(base::Loop&, base::TransportHandler* handler) override {
    far_.handler = handler;
    return {};
  }
  base::Io read(std::span<char> into) override {
    if (far_.broken) return {base::Io::Kind::kError, 0, ECONNRESET};
    const size_t n = std::min(into.size(), far_.to_read.size());
    if (n == 0) return {far_.ended ? base::Io::Kind::kEnd : base::Io::Kind::kWouldBlock, 0, 0};
    std::copy_n(far_.to_read.data(), n, into.data());
    far_.to_read.erase(0, n);
    return {base::Io::Kind::kBytes, n, 0};
  }
  size_t lend(std::span<iovec> pieces) override {
    const size_t size = far_.to_read.size(), half = size / 2;
    if (!far_.lends || far_.broken || size < 2 || pieces.size() < 2) return 0;
    pieces[0] = {far_.to_read.data(), half};
    pieces[1] = {far_.to_read.data() + half, size - half};
    return 2;
  }
  void consume(size_t bytes) override { far_.to_read.erase(0, bytes); }
  base::Io write(std::span<const iovec> from) override {
    if (far_.broken) return {base::Io::Kind::kError, 0, EPIPE};
    size_t total = 0;
    for (const auto& piece : from) {
      const size_t n = std::min(piece.iov_len, far_.window);
      far_.written.append(static_cast<const char*>(piece.iov_base), n);
      far_.window -= far_.window == SIZE_MAX ? 0 : n;
      total += n;
    }
    if (total == 0) return {base::Io::Kind::kWouldBlock, 0, 0};
    return {base::Io::Kind::kBytes, total, 0};
  }
  void shutdown_write() override { far_.saw_end = true; }
  void reset() override { far_.saw_reset = true; }
  [[nodiscard]] int raw_fd() const override { return far_.descriptor; }

 private:
  FarEnd& far_;
};

}  // namespace weft::test
