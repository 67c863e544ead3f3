#pragma once
// The bytes of one connection: what was read and not yet parsed, what was written and not yet sent.
#include <sys/uio.h>

#include <array>
#include <span>

#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/http/memory.h"

namespace weft::http {

// Reads into the worker's shared block and parses there; only what is left over at the end is kept by the
// connection.
class Intake {
 public:
  Intake(BlockPool& pool, std::span<char> shared) : kept_(pool), shared_(shared) {}

  // One read. REQUIRES: nobody else holds bytes in the shared block (Core's turn rules see to that).
  [[nodiscard]] base::Io fill(base::Transport& transport) {
    if (view_.empty() && kept_.empty()) {
      const auto io = transport.read(shared_);
      if (io.kind == base::Io::Kind::kBytes) view_ = {shared_.data(), io.bytes};
      return io;
    }
    keep();
    // Half a head or chunk line is waiting: the rest comes behind it.
    const size_t block = std::min<size_t>(shared_.size(), 16 * 1024);
    const auto io = transport.read({kept_.room(block), block});
    if (io.kind == base::Io::Kind::kBytes) kept_.commit(io.bytes);
    return io;
  }
  // Everything that waits to be parsed.
  [[nodiscard]] std::string_view view() const { return view_.empty() ? kept_.view() : view_; }
  void consume(size_t size) {
    if (view_.empty())
      kept_.consume(size);
    else
      view_.remove_prefix(size);
  }
  // Leaves the shared block: what is left of it moves into memory of our own.
  void keep() {
    if (view_.empty()) return;
    kept_.append(view_);
    view_ = {};
  }
  void clear() {
    kept_.clear();
    view_ = {};
  }

 private:
  Queue kept_;
  std::span<char> shared_;
  std::string_view view_;  // in the shared block; then kept_ is empty
};

// Collects what is to be written, so that a message leaves in one call.
class Outlet {
 public:
  // Bodies from this size on are written straight from where they lie.
  static constexpr size_t kDirect = 8 * 1024;

  explicit Outlet(BlockPool& pool) : queue_(pool) {}

  [[nodiscard]] Queue& queue() { return queue_; }
  [[nodiscard]] bool empty() const { return queue_.empty(); }
  // The socket takes nothing at present: whoever produces should stop.
  [[nodiscard]] bool blocked() const { return blocked_; }
  // A write failed; everything is thrown away from now on.
  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] uint64_t written() const { return written_; }

  // Writes what is queued. False when something is left or the transport is dead.
  bool flush(base::Transport& transport) {
    while (!queue_.empty() && !dead_) {
      const auto view = queue_.view();
      const iovec piece{const_cast<char*>(view.data()), view.size()};
      const size_t sent = write(transport, {&piece, 1});
      queue_.consume(sent);
      if (blocked_) return false;
    }
    if (dead_) queue_.clear();
    return !dead_;
  }

  // Queues `before`, `bytes`, `after`; large bytes are written at once, behind what is queued, when the
  // socket takes them.
  void send(base::Transport& transport, std::string_view before, std::string_view bytes,
            std::string_view after) {
    if (dead_) return;
    if (blocked_ || bytes.size() < kDirect) {
      queue_.append(before);
      queue_.append(bytes);
      queue_.append(after);
      return;
    }
    queue_.append(before);
    const auto queued = queue_.view();
    const std::array<iovec, 3> pieces{iovec{const_cast<char*>(queued.data()), queued.size()},
                                      iovec{const_cast<char*>(bytes.data()), bytes.size()},
                                      iovec{const_cast<char*>(after.data()), after.size()}};
    size_t sent = write(transport, pieces);
    const size_t total = queued.size() + bytes.size() + after.size();
    const bool partial = sent < total;
    const size_t from_queue = std::min(sent, queued.size());
    sent -= from_queue;
    if (from_queue != 0) queue_.consume(from_queue);
    const size_t from_bytes = std::min(sent, bytes.size());
    sent -= from_bytes;
    queue_.append(bytes.substr(from_bytes));
    queue_.append(after.substr(sent));
    // A short write means a full socket; flush() finds out for sure.
    if (partial && !dead_) flush(transport);
  }

  // The socket reported that it takes bytes again.
  void unblock() { blocked_ = false; }

 private:
  size_t write(base::Transport& transport, std::span<const iovec> pieces) {
    const auto io = transport.write(pieces);
    if (io.kind == base::Io::Kind::kBytes) {
      written_ += io.bytes;
      return io.bytes;
    }
    if (io.kind == base::Io::Kind::kWouldBlock)
      blocked_ = true;
    else
      dead_ = true;
    return 0;
  }

  Queue queue_;
  uint64_t written_ = 0;
  bool blocked_ = false, dead_ = false;
};

}  // namespace weft::http
