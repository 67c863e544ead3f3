#include "agent/kube/micro_time.h"

#include <fmt/format.h>

#include <ctime>

namespace weft::kube {

std::string micro_time(base::WallTime time) {
  const int64_t micros = time.time_since_epoch() / std::chrono::microseconds(1);
  const time_t seconds = micros / 1'000'000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:06}Z", text, micros % 1'000'000);
}

}  // namespace weft::kube
