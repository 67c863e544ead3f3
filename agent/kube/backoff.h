#pragma once
// Waiting times that grow and are spread, so that many clients do not come back at the same moment.
#include <algorithm>
#include <cstdint>
#include <random>

#include "userspace-proxy/base/clock.h"

namespace weft::kube {

// Random spreading; not for secrets. Thread: one at a time.
class Spread {
 public:
  explicit Spread(uint64_t seed) : engine_(seed) {}
  static uint64_t random_seed() {
    return (static_cast<uint64_t>(std::random_device()()) << 32) ^ std::random_device()();
  }
  // [low, high)
  base::Nanos between(base::Nanos low, base::Nanos high) {
    if (high <= low) return low;
    return base::Nanos(std::uniform_int_distribution<int64_t>(low.count(), high.count() - 1)(engine_));
  }

 private:
  std::mt19937_64 engine_;
};

// next(): first, twice that, and so on up to `most`, each drawn from [1, 2) times that. A server's own wish
// (Retry-After) is a floor; it is believed up to kMostAsked.
class Backoff {
 public:
  static constexpr base::Nanos kMostAsked = std::chrono::minutes(2);

  Backoff(base::Nanos first, base::Nanos most, uint64_t seed) : first_(first), most_(most), spread_(seed) {}
  base::Nanos next(base::Nanos asked = {}) { return next(asked, most_); }
  // The same with another bound, this once.
  base::Nanos next(base::Nanos asked, base::Nanos most) {
    const base::Nanos base = std::min(first_ * (int64_t{1} << std::min(failures_, 20)), most);
    ++failures_;
    const base::Nanos floor = std::min(asked, kMostAsked);
    return std::max(spread_.between(base, 2 * base),
                    floor > base::Nanos(0) ? spread_.between(floor, floor + base) : floor);
  }
  void reset() { failures_ = 0; }
  [[nodiscard]] int failures() const { return failures_; }
  [[nodiscard]] Spread& spread() { return spread_; }

 private:
  base::Nanos first_, most_;
  Spread spread_;
  int failures_ = 0;
};

}  // namespace weft::kube
