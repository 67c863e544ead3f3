#pragma once
// A non-blocking byte stream with a known peer: a TCP socket, TLS over one, or an HBONE stream.
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/result.h"

namespace weft::base {

// The outcome of one read or write.
struct Io {
  enum class Kind : uint8_t { kBytes, kWouldBlock, kEnd, kError };
  Kind kind = Kind::kWouldBlock;
  size_t bytes = 0;   // kBytes
  int sys_errno = 0;  // kError: ECONNRESET is the peer's RST
};

// Told when its transport may make progress. Edge-triggered: after a call, read or write until kWouldBlock.
// Whoever stops earlier (back-pressure) goes on later by simply calling read() again.
class TransportHandler {
 public:
  virtual ~TransportHandler() = default;
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Starts (or re-targets) notifications. `handler` must outlive the transport or the next call of attach().
  virtual Status attach(Loop& loop, TransportHandler* handler) = 0;
  virtual Io read(std::span<char> into) = 0;
  // Where the bytes lie that read() would copy next, where they lie somewhere: up to `pieces.size()` pieces in their
  // order, good until the next call on this transport and no longer than the handler's call; how many. consume() those
  // that were used. 0: read() knows more.
  virtual size_t lend(std::span<iovec> /*pieces*/) { return 0; }
  virtual void consume(size_t /*bytes*/) {}
  virtual Io write(std::span<const iovec> from) = 0;
  // Half-close: nothing more will be written.
  virtual void shutdown_write() = 0;
  // Close at once with an RST, where the medium has one.
  virtual void reset() = 0;
  // The descriptor under a plain TCP transport, for splice and socket options; -1 where bytes are transformed.
  [[nodiscard]] virtual int raw_fd() const { return -1; }
  // What carries it is being taken down in good order. It still works, but whoever may choose begins the next thing on
  // another.
  [[nodiscard]] virtual bool ends_soon() const { return false; }
};

// A connected (or connecting) TCP socket. A short read proves the socket empty, so that the kWouldBlock that ends
// the reader's loop costs no system call: the next byte brings an edge.
class TcpTransport final : public Transport, private IoHandler {
 public:
  explicit TcpTransport(Fd fd) : fd_(std::move(fd)) {}
  ~TcpTransport() override;

  Status attach(Loop& loop, TransportHandler* handler) override;
  Io read(std::span<char> into) override;
  Io write(std::span<const iovec> from) override;
  void shutdown_write() override;
  void reset() override;
  [[nodiscard]] int raw_fd() const override { return fd_.get(); }

 private:
  void on_io(uint32_t events) override;

  Fd fd_;
  Loop* loop_ = nullptr;
  TransportHandler* handler_ = nullptr;
  bool drained_ = false;      // read to the bottom since the last edge
  bool end_pending_ = false;  // the peer's FIN or an error was announced: a short read proves nothing then
};

}  // namespace weft::base
