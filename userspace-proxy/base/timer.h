#pragma once
#include <array>
#include <cstdint>
#include <functional>

#include "userspace-proxy/base/clock.h"

namespace weft::base {

class TimerWheel;

// One pending call. Owned by whoever waits; cancels itself when it dies. Arming and cancelling allocate nothing.
// Resolution is one tick (8 ms), never early. Thread: the wheel's loop only.
class Timer {
 public:
  Timer(TimerWheel& wheel, std::function<void()> action) : wheel_(wheel), action_(std::move(action)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once, `after` from now; an armed timer is moved.
  void arm(Nanos after);
  void cancel();
  [[nodiscard]] bool armed() const { return prev_ != nullptr; }

 private:
  friend class TimerWheel;
  TimerWheel& wheel_;
  std::function<void()> action_;
  uint64_t due_tick_ = 0;
  Timer** prev_ = nullptr;  // whatever points at this timer; null means not armed
  Timer* next_ = nullptr;
};

// A hashed wheel: kSlots lists; a timer that is further away stays in its slot for another round.
class TimerWheel {
 public:
  static constexpr Nanos kTick = Millis(8);
  static constexpr size_t kSlots = 1024;

  explicit TimerWheel(const Clock& clock) : clock_(clock), start_(clock.now()) {}

  // Runs what is due.
  void advance();
  // Milliseconds until advance() may have work; -1 for never. An upper bound of one tick.
  [[nodiscard]] int wait_ms() const;
  [[nodiscard]] size_t armed() const { return armed_; }

 private:
  friend class Timer;
  [[nodiscard]] uint64_t tick_of(Instant when) const { return static_cast<uint64_t>((when - start_) / kTick); }
  void link(Timer& timer);
  void unlink(Timer& timer);
  void run_slot(uint64_t tick);

  const Clock& clock_;
  Instant start_;
  uint64_t done_tick_ = 0;  // every slot up to this tick has been run
  size_t armed_ = 0;
  std::array<Timer*, kSlots> slots_{};
};

}  // namespace weft::base
