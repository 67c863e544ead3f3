#pragma once
#include <cstddef>
#include <cstdint>

#include "userspace-proxy/base/clock.h"

namespace weft::http {

// Every bound of this room in one place. Zero durations mean "off".
struct Limits {
  // Heads and trailers.
  size_t head_bytes = 60 * 1024;  // request or response head; more is 431, or 502 from a destination
  size_t head_fields = 100;
  size_t trailer_bytes = 16 * 1024;

  // Bytes held per stream and direction while the other side is slow; reading stops above it.
  size_t stream_buffer = 64 * 1024;
  // One read; also the largest piece that is ever queued beyond a bound.
  size_t read_block = 64 * 1024;

  // HTTP/2.
  uint32_t h2_streams = 100;  // concurrent streams a source may open
  uint32_t h2_stream_window = 64 * 1024;
  uint32_t h2_connection_window = 1024 * 1024;
  // Control frames (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA) a peer may send: a
  // burst, refilled by what it may send per second. A peer that sends more is cut with ENHANCE_YOUR_CALM.
  uint32_t h2_control_burst = 10'000;
  uint32_t h2_control_per_second = 1'000;

  // Pools, per (source pod, destination, protocol).
  size_t idle_per_destination = 128;
  size_t connections_per_destination = 10'000;
  base::Nanos idle_destination = base::Millis(10 * 60 * 1000);

  // Source side.
  base::Nanos idle_source = base::Millis(60 * 60 * 1000);  // between requests
  base::Nanos request_head = base::Millis(60 * 1000);      // from the first byte of a head to its end
  base::Nanos stream_idle{0};                              // a request that makes no progress
  base::Nanos linger =
      base::Millis(5 * 1000);  // reading on after an early answer, so that it is not reset away
};

}  // namespace weft::http
