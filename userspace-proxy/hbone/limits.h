#pragma once
// Every bound of this room (hbone.md 5), in one place.
#include <cstddef>
#include <cstdint>

#include "userspace-proxy/base/clock.h"

namespace weft::hbone {

struct Limits {
  // HTTP/2.
  uint32_t stream_window = 4u << 20;       // bytes a peer may send ahead of a stream's reader
  uint32_t connection_window = 16u << 20;  // ... of all readers; more than one stream's, or they block each other
  uint32_t frame_size = 1u << 20;          // largest frame taken
  uint32_t server_head_bytes = 64 * 1024;  // of a request's head, decoded
  uint32_t client_head_bytes = 16 * 1024;  // of a response's head, decoded
  uint32_t server_streams = 200;           // advertised
  uint32_t client_streams = 100;           // or the peer's number, when that is smaller

  // Times.
  base::Nanos begin = base::Millis(10'000);        // TLS and the peer's SETTINGS together
  base::Nanos answer = base::Millis(20'000);       // from CONNECT to its answer; the peer may wait 5 s and dial 10 s
  base::Nanos ping_every = base::Millis(10'000);   // after the last PONG
  base::Nanos pong_within = base::Millis(20'000);
  base::Nanos client_idle = base::Millis(5 * 60'000);
  base::Nanos server_idle = base::Millis(60 * 60'000);
  base::Nanos drain_notice = base::Millis(1'000);  // between the GOAWAY that warns and the one that counts
  base::Nanos user_timeout = base::Millis(30'000);  // TCP_USER_TIMEOUT of a tunnel's socket

  // Frames that carry nothing (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, WINDOW_UPDATE of next to
  // nothing): a burst, refilled by what is allowed per second. Beyond it the tunnel is cut.
  uint32_t control_burst = 10'000, control_per_second = 1'000;
  // Requests taken back before they were answered.
  uint32_t rapid_reset_burst = 200, rapid_reset_per_second = 50;

  // Memory.
  // Bytes waiting for slow readers in all tunnels of a worker; one peer alone gets at most half of it.
  size_t worker_held = 256u << 20;

  // Pool, per worker.
  size_t tunnels_per_key = 4;     // opened because of load
  size_t busy_streams = 16;       // a tunnel with this many streams wants company
  size_t tunnels_total = 16'384;
  size_t waiting_per_key = 4'096;  // dials waiting for a handshake
};

}  // namespace weft::hbone
