#pragma once
// What nghttp2 does not bound itself: frames that cost us work and carry nothing (CVE-2019-9511 to 9518).
#include <nghttp2/nghttp2.h>

#include <cstdint>

#include "userspace-proxy/base/clock.h"

namespace weft::h2 {

// A bucket of `burst` tokens that refills with `per_second`.
class Bucket {
 public:
  Bucket(uint32_t burst, uint32_t per_second, base::Instant now)
      : burst_(burst), per_second_(per_second), left_(burst), at_(now) {}
  // Takes one. False: none was left.
  [[nodiscard]] bool take(base::Instant now);

 private:
  double burst_, per_second_, left_;
  base::Instant at_;
};

// True for PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA without an end, and WINDOW_UPDATE of so little that it
// makes us send crumbs. `frame` is one that was received.
[[nodiscard]] bool carries_nothing(const nghttp2_frame& frame);

}  // namespace weft::h2
