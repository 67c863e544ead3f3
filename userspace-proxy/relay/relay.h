#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "userspace-proxy/base/buffer.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/relay/pipes.h"

namespace weft::relay {

// How a relay stands. S: the source's FIN was passed on; D: the destination's FIN was passed on.
//
//              S                       D
//    kOpen ---------> kSourceEnded -----------> kFinished
//      |  \    D                       S           ^
//      |   \--------> kDestinationEnded -----------/
//      |                   |
//      +---- RST, error or abort() from any of the three ----> kReset
enum class Step : uint8_t { kOpen, kSourceEnded, kDestinationEnded, kFinished, kReset, kCount };

[[nodiscard]] bool legal(Step from, Step to);

enum class Cause : uint8_t { kNone, kSourceReset, kDestinationReset, kAborted };

class Relay;

class RelayOwner {
 public:
  virtual ~RelayOwner() = default;
  // The relay is over, both transports are closed or about to be. Called once; retire the relay, do not free
  // it.
  virtual void on_relay_end(Relay& relay) = 0;
};

// What a worker's relays share; used by one at a time.
struct Workbench {
  std::span<char> scratch;
  Pipes& pipes;
};

// Copies bytes both ways between two transports until both have ended or one was reset. Half-closes and
// resets are passed on. Bytes that cannot be written at once stay where they were lent or are held, at most one scratch
// block per direction, and nothing more is read until they are gone; an idle relay holds no buffer. A direction that
// fills the whole scratch block at one read carries bulk: it goes on through a pipe (splice), until the pipe
// and the source are empty. Owned by a connection, lives in its worker's thread.
class Relay final : private base::IoHandler {
 public:
  // `loop`, what `bench` names and `owner` outlive the relay.
  Relay(base::Loop& loop, const Workbench& bench, std::unique_ptr<base::Transport> source,
        std::unique_ptr<base::Transport> destination, RelayOwner& owner);
  ~Relay() override;

  // Begins to carry; may call on_relay_end() before it returns.
  void start();
  // Resets both sides; on_relay_end() follows with kAborted.
  void abort();

  [[nodiscard]] Step step() const { return step_; }
  [[nodiscard]] Cause cause() const { return cause_; }
  [[nodiscard]] int sys_errno() const { return sys_errno_; }
  [[nodiscard]] uint64_t from_source() const { return outward_.bytes; }  // passed on to the destination
  [[nodiscard]] uint64_t to_source() const { return homeward_.bytes; }
  [[nodiscard]] size_t held_bytes() const { return outward_.held.capacity() + homeward_.held.capacity(); }

 private:
  // One direction.
  struct Lane {
    base::Transport* from;
    base::Transport* to;
    Cause from_reset, to_reset;  // whom to blame when that end breaks
    std::optional<Pipe> pipe{};  // while bulk is under way; then `held` is empty
    size_t in_pipe = 0;
    base::Buffer held{0};  // read, not yet written; its capacity is 0 when there is nothing
    uint64_t bytes = 0;
    bool end_seen = false, end_passed = false;
    bool stuck = false;  // `to` would not take what `from` lent
    [[nodiscard]] bool blocked() const { return stuck || !held.empty() || in_pipe > 0; }
  };
  // Tells the two transports' notifications apart.
  struct Side final : base::TransportHandler {
    Side(Relay& its_relay, Lane& its_reads, Lane& its_writes)
        : relay(its_relay), reads(its_reads), writes(its_writes) {}
    void on_readable() override;
    void on_writable() override;
    Relay& relay;
    Lane& reads;
    Lane& writes;
  };
  enum class Flow : uint8_t { kGoOn, kWait };

  void on_io(uint32_t events) override;  // called again after yielding
  void pump(Lane& lane);
  [[nodiscard]] Flow read_once(Lane& lane);
  [[nodiscard]] Flow pass_lent(Lane& lane, std::span<const iovec> pieces);
  [[nodiscard]] Flow fill_pipe(Lane& lane);
  [[nodiscard]] Flow empty_pipe(Lane& lane);
  void begin_bulk(Lane& lane);
  void end_bulk(Lane& lane);
  [[nodiscard]] Flow write_out(Lane& lane, std::span<const char> bytes);
  [[nodiscard]] Flow flush_held(Lane& lane);
  void pass_end(Lane& lane);
  void break_off(Cause cause, int sys_errno);
  void enter(Step step);
  [[nodiscard]] bool over() const { return step_ == Step::kFinished || step_ == Step::kReset; }

  base::Loop& loop_;
  RelayOwner& owner_;
  const Workbench bench_;
  std::unique_ptr<base::Transport> source_, destination_;
  Lane outward_, homeward_;
  Side source_side_, destination_side_;
  Step step_ = Step::kOpen;
  Cause cause_ = Cause::kNone;
  bool yielded_ = false;
  int sys_errno_ = 0;
};

}  // namespace weft::relay
