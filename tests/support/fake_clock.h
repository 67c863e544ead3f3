#pragma once
#include "userspace-proxy/base/clock.h"

namespace weft::test {

// Time that moves only when a test says so.
class FakeClock final : public base::Clock {
 public:
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return wall_; }
  void advance(base::Nanos by) {
    now_ += by;
    wall_ += by;
  }

 private:
  base::Instant now_{base::Millis(1'000'000)};
  base::WallTime wall_{base::Millis(1'700'000'000'000)};
};

}  // namespace weft::test
