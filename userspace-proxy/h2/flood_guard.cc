#include "userspace-proxy/h2/flood_guard.h"

#include <algorithm>

namespace weft::h2 {
namespace {
constexpr int32_t kSmallWindowUpdate = 256;
}

bool Bucket::take(base::Instant now) {
  const double seconds = std::chrono::duration<double>(now - at_).count();
  at_ = now;
  left_ = std::min(burst_, left_ + seconds * per_second_) - 1;
  if (left_ >= 0) return true;
  left_ = 0;
  return false;
}

bool carries_nothing(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
      return true;
    case NGHTTP2_WINDOW_UPDATE:
      return frame.window_update.window_size_increment < kSmallWindowUpdate;
    case NGHTTP2_DATA:
      return frame.hd.length == 0 && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
      return false;
  }
}

}  // namespace weft::h2
