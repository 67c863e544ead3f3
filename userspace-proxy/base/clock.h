#pragma once
#include <chrono>
#include <cstdint>

namespace weft::base {

using Nanos = std::chrono::nanoseconds;
using Millis = std::chrono::milliseconds;
// Monotonic time: durations and timers. Never shown to people.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Nanos>;
// Wall clock: log lines and certificates only.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanos>;

// Where time comes from. Tests hand in a fake (tests/support/fake_clock.h).
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall_now() const override { return std::chrono::system_clock::now(); }
};

}  // namespace weft::base
