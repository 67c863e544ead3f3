#pragma once
// Two transports that are each other's peer, in memory: what one writes the other reads, with bounded room in
// between, short reads and writes, ends and resets on demand. Edges are delivered by the loop, as epoll does.
#include <memory>
#include <string>

#include "userspace-proxy/base/transport.h"

namespace weft::test {

// How a medium misbehaves. Shared by both ends of a pair; may be changed at any time.
struct Faults {
  size_t room = 256 * 1024;         // bytes under way per direction
  size_t most_per_read = SIZE_MAX;  // short reads
  size_t most_per_write = SIZE_MAX;
  int descriptor = -1;     // what both ends say they stand on
  bool ends_soon = false;  // what they say of it
};

class PairEnd final : public base::Transport, private base::IoHandler {
 public:
  ~PairEnd() override;

  base::Status attach(base::Loop& loop, base::TransportHandler* handler) override;
  base::Io read(std::span<char> into) override;
  base::Io write(std::span<const iovec> from) override;
  void shutdown_write() override;
  void reset() override;
  [[nodiscard]] int raw_fd() const override { return faults_->descriptor; }
  [[nodiscard]] bool ends_soon() const override { return faults_->ends_soon; }

  // For tests that play the peer by hand.
  void send(std::string_view bytes);     // CHECKs that all of it fits
  std::string take();      // everything that has arrived
  [[nodiscard]] bool at_end() const;     // the peer ended or reset its direction and all was read
  [[nodiscard]] bool was_reset() const;  // by the peer
  [[nodiscard]] size_t unread() const;   // sent by this end, not yet read by the peer
  [[nodiscard]] uint64_t writes() const { return writes_; }  // calls of write() that moved bytes

 private:
  friend struct TransportPair;
  struct Pipe;
  PairEnd(std::shared_ptr<Faults> faults, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out);
  void on_io(uint32_t events) override;
  void wake();

  std::shared_ptr<Faults> faults_;
  std::shared_ptr<Pipe> in_, out_;
  base::Loop* loop_ = nullptr;
  base::TransportHandler* handler_ = nullptr;
  bool waking_ = false;
  uint64_t writes_ = 0;
};

struct TransportPair {
  TransportPair();
  std::shared_ptr<Faults> faults;
  std::unique_ptr<PairEnd> near, far;
};

}  // namespace weft::test
