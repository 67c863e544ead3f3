#pragma once
// One turn of a connection that speaks HTTP/1.x, at either end.
#include "userspace-proxy/http/core.h"
#include "userspace-proxy/http/wire.h"

namespace weft::http {

// Parses what is there and reads on while `session` wants to; a connection that sends without an end yields
// to others. Their sessions name it a friend.
template <typename H1Session>
void take_turn(H1Session& session, Core& core, base::Transport& input) {
  constexpr int kMaxReads = 16;
  for (int reads = 0;; ++reads) {
    while (session.parse()) {
    }
    if (!session.wants_read()) break;
    if (reads == kMaxReads) {
      core.work_next_turn(session);
      break;
    }
    const auto io = session.intake_.fill(input);
    if (io.kind == base::Io::Kind::kBytes) continue;
    if (io.kind != base::Io::Kind::kWouldBlock || session.outlet_.dead()) session.input_ended(io);
    break;
  }
  session.intake_.keep();
}

}  // namespace weft::http
