#pragma once
// What all streams of a worker share, and the rules of a turn: parsing first, writing at its end, never one
// inside the other.
#include <memory>
#include <optional>
#include <vector>

#include "userspace-proxy/http/h1_head.h"
#include "userspace-proxy/http/memory.h"
#include "userspace-proxy/http/server.h"

namespace weft::http {

class Pool;
class H2ServerStream;

// A connection that may be asked for work at the end of a turn. Lives at least until the end of the loop turn
// in which it was closed (Loop::retire).
class Session {
 public:
  virtual ~Session() = default;
  // Write out what was queued.
  virtual void flush() = 0;
  // Go on reading and parsing.
  virtual void work() = 0;

 private:
  friend struct Core;
  bool wants_flush_ = false, wants_work_ = false;
};

// Numbers nobody needs to guess: endpoint draws and request ids (xoshiro256**, seeded by the kernel).
class Random {
 public:
  Random();
  uint64_t next();

 private:
  uint64_t state_[4];
};

// What a connection's requests go by; replaced whole by reconfigure(), pinned by each running request.
struct Plan {
  std::shared_ptr<const identify::ConnInfo> info;
  std::shared_ptr<const route::Tables> tables;
  std::string peer;  // info->peer.address as text: a gateway tells it to every request
};

// Owned by Engine, thread: the worker's.
struct Core final : private base::IoHandler {
  Core(base::Loop& loop_in, connect::Dialer& dialer_in, observe::Recorder& recorder_in,
       const Limits& limits_in);
  ~Core() override;

  base::Loop& loop;
  connect::Dialer& dialer;
  observe::Recorder& recorder;
  const Limits limits;

  BlockPool head_blocks{4 * 1024, 256};
  BlockPool queue_blocks{16 * 1024, 256};
  std::vector<char> read_block;  // one read of whichever session works
  HeadLines lines;
  std::vector<route::HeaderView> header_views;  // scratch of one routing decision
  Fields trailers;                              // scratch of one h1 message end
  ResponseHead response_head;                   // scratch of one response head
  std::vector<std::unique_ptr<H2ServerStream>> free_streams;
  Random random;
  route::Spread spread;
  std::unique_ptr<Pool> pool;

  [[nodiscard]] observe::Counters& counters() { return recorder.counters(); }

  // Both are done when the outermost Turn ends.
  void flush_later(Session& session);
  void work_later(Session& session);
  // For one who yields with work left.
  void work_next_turn(Session& session);
  // A session that closes is not called any more.
  void forget(Session& session);

 private:
  friend class Turn;
  void end_turn();
  void on_io(uint32_t events) override;
  int depth_ = 0;
  std::vector<Session*> to_flush_, to_work_, next_turn_;
};

// Stands at the head of every callback that enters this room (readable, writable, dialled, timer).
class Turn {
 public:
  explicit Turn(Core& core) : core_(core) { ++core_.depth_; }
  ~Turn() {
    if (core_.depth_ == 1) core_.end_turn();
    --core_.depth_;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Core& core_;
};

}  // namespace weft::http
