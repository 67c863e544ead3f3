#include "agent/certs/schedule.h"

#include <algorithm>

namespace weft::certs {
namespace {

constexpr base::Millis kFirstPause{1000};
constexpr base::Millis kLongestPause{150'000};

base::Nanos scaled(base::Nanos span, double factor) {
  return base::Nanos(static_cast<int64_t>(static_cast<double>(span.count()) * factor));
}

}  // namespace

base::Nanos pause_after(unsigned failures, double chance) {
  const base::Nanos plain =
      std::min<base::Nanos>(kFirstPause * (int64_t{1} << std::min(failures, 10u)), kLongestPause);
  return std::min<base::Nanos>(scaled(plain, 0.8 + 0.4 * chance), kLongestPause);
}

base::Nanos soon_pause(double chance) {
  return scaled(base::Millis(100), 1 + chance);
}

base::WallTime renewal_time(base::WallTime begin, base::WallTime end, base::WallTime now, double chance) {
  const base::WallTime half = begin + scaled(end - begin, 0.5 * (0.9 + 0.2 * chance));
  return std::max(half, now + (end - now) / 3);
}

base::WallTime alarm_time(base::WallTime begin, base::WallTime end) {
  return end - (end - begin) / 5;
}

}  // namespace weft::certs
