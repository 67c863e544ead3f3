// Bytes of a session: in to the streams' readers, out in large writes.
#include <algorithm>
#include <cstring>

#include "userspace-proxy/hbone/session.h"

namespace weft::hbone {
namespace {

constexpr int kReadsPerTurn = 4;   // blocks, before others have their turn
constexpr int kRoundsPerTurn = 8;  // of output
// Behind the mark come at most: two pieces of heads, an empty DATA frame of every stream.
constexpr size_t kLargestFrame = 9 + 16 * 1024 + 256;
static_assert(OutBlock::kHigh + 2 * kLargestFrame + 9 * 256 <= OutBlock::kRoom);

}  // namespace

// ---- input

void Session::on_readable() {
  read_all();
}

void Session::on_io(uint32_t) {
  again_asked_ = false;
  if (step_ == Step::kOver) return;
  if (std::exchange(read_left_, false)) read_all();
  run_output();
}

SessionEnd Session::end_of(const base::Io& io) const {
  if (open_ == 0 && io.kind == base::Io::Kind::kEnd) return SessionEnd::kFinished;
  return step_ == Step::kBegin && io.sys_errno == ECONNABORTED ? SessionEnd::kRefused : SessionEnd::kLost;
}

void Session::read_all() {
  if (step_ == Step::kOver || cut()) return;
  if (engine_.read_block_busy) {  // called from inside a reader of another session
    read_left_ = true;
    return flush_soon();
  }
  engine_.read_block_busy = true;
  bool over = false;
  read_left_ = true;
  for (int reads = 0; read_left_ && !over && reads < kReadsPerTurn; ++reads) {
    base::Io io;
    size_t size = 0;
    do {
      io = transport_->read({engine_.read_block.get() + size, Engine::kReadBlock - size});
      if (io.kind == base::Io::Kind::kBytes) size += io.bytes;
    } while (io.kind == base::Io::Kind::kBytes && size < Engine::kReadBlock);
    if (io.kind != base::Io::Kind::kBytes) read_left_ = false;
    if (size > 0) over = !feed({engine_.read_block.get(), size});
    if (!over && !read_left_ && io.kind != base::Io::Kind::kWouldBlock) {
      over = true;
      end(end_of(io));
    }
  }
  engine_.read_block_busy = false;
  if (step_ == Step::kOver) return;
  write_later();
  if (read_left_ && !over) flush_soon();
}

// False when nothing more is to be read.
bool Session::feed(std::string_view bytes) {
  const ssize_t used =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used < 0 && !cut()) {
    const bool flood = used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    broken_ = flood ? SessionEnd::kFlood : SessionEnd::kProtocol;
  }
  settle();
  engine_.fresh.clear();
  return step_ != Step::kOver && !cut();
}

void Session::mark(Stream& stream, uint8_t event) {
  if (stream.events_ == 0) touched_.push_back(&stream);
  stream.events_ |= event;
}

void Session::settle() {
  if (std::exchange(settling_, true)) return;
  if (std::exchange(ready_news_, false)) owner_.on_ready(*this);
  for (size_t i = 0; i < touched_.size() && step_ != Step::kOver; ++i) {
    Stream* const stream = std::exchange(touched_[i], nullptr);
    if (stream != nullptr) dispatch(*stream, std::exchange(stream->events_, 0));
  }
  touched_.clear();
  settling_ = false;
  if (step_ == Step::kOver) return;
  if (std::exchange(away_news_, false)) owner_.on_going_away(*this);
  if (std::exchange(room_news_, false)) owner_.on_room(*this);
}

void Session::dispatch(Stream& stream, uint8_t events) {
  if (stream.head_ != nullptr) {
    stream.stash();
    return dispatch_head(stream, events);
  }
  Stream::Watch watch(stream);
  if ((events & Stream::kGone) != 0) return stream.tell_reset();
  if ((events & Stream::kWritable) != 0 && stream.handler_ != nullptr) stream.handler_->on_writable();
  if (watch.dead) return;
  if ((events & Stream::kReadable) != 0 && stream.handler_ != nullptr) stream.handler_->on_readable();
  if (!watch.dead) stream.stash();
}

// Nobody carries its data yet. A reset behind an answer that refuses adds nothing: the answer says why.
void Session::dispatch_head(Stream& stream, uint8_t events) {
  const auto born = std::ranges::find(newborn_, &stream, &std::unique_ptr<Stream>::get);
  if (born != newborn_.end()) {
    if ((events & (Stream::kHeadDone | Stream::kGone)) == 0) return;
    auto owned = std::move(*born);
    newborn_.erase(born);
    if ((events & Stream::kGone) == 0) owner_.on_request(*this, std::move(owned));
    return;
  }
  if (stream.owner_ == nullptr) return;
  const bool refused = role_ == Role::kClient && stream.head_done_ && stream.head().status != 200;
  if ((events & Stream::kGone) != 0 && !refused) return stream.owner_->on_gone(stream, stream.error_code_);
  if ((events & (Stream::kHeadDone | Stream::kGone)) != 0) stream.owner_->on_head(stream);
}

// ---- output

void Session::write_later() {
  if (std::exchange(write_asked_, true)) return;
  engine_.loop.at_turn_end(this);
}

// at_turn_end() alone would not do: whoever is destroyed at the end of a turn comes too late for it, and the loop
// would sleep on what he had to say.
void Session::flush_soon() {
  if (std::exchange(again_asked_, true)) return;
  engine_.loop.again(this);
}

void Session::on_turn_end() {
  write_asked_ = false;
  run_output();
}

void Session::on_writable() {
  if (!std::exchange(blocked_, false)) return;
  run_output();
}

void Session::run_output() {
  if (step_ == Step::kOver) return;
  bool more = true;
  for (int round = 0; more && round < kRoundsPerTurn; ++round) {
    pump_frames();
    const bool flushed = !blocked_ && flush();
    settle();
    serve_writers();
    if (step_ == Step::kOver) return;
    more = flushed && !cut() && (out_ != nullptr || nghttp2_session_want_write(session_.get()) != 0);
  }
  if (more) flush_soon();
  if (cut() || !more) finish_if_done();
}

void Session::queue_writer(Stream& stream) {
  if (!std::exchange(stream.waits_, true)) writers_.push_back(&stream);
}

// One after the other, as long as there is room: whoever fills the block comes last the next time.
void Session::serve_writers() {
  while (!writers_.empty() && out_size() < OutBlock::kFull && step_ != Step::kOver && !cut()) {
    Stream& stream = *writers_.front();
    writers_.erase(writers_.begin());
    stream.waits_ = false;
    dispatch(stream, Stream::kWritable);
  }
}

void Session::send(Stream& stream) {
  while (stream.pending_left_ > 0) {
    resume(stream);
    pump_frames();
    if (out_size() < OutBlock::kFull) break;  // no window
    if (blocked_ || !flush()) break;
  }
  if (stream.pending_left_ > 0) resume(stream);  // so that nghttp2 asks again when there is room
  write_later();
}

// Moves frames from nghttp2 to the output block, as long as there is room for the next.
void Session::pump_frames() {
  while (out_size() < OutBlock::kFull) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
    if (size < 0 && !cut()) broken_ = SessionEnd::kProtocol;
    if (size < 0) return;
    if (size == 0) return;  // DATA went straight to the block, by send_data()
    std::memcpy(out_room(static_cast<size_t>(size)), data, static_cast<size_t>(size));
  }
}

char* Session::out_room(size_t size) {
  if (!out_) {
    out_ = engine_.out.take();
    out_begin_ = out_end_ = 0;
  }
  if (out_end_ + size > OutBlock::kRoom) {
    std::memmove(out_->bytes.data(), out_->bytes.data() + out_begin_, out_size());
    out_end_ -= out_begin_;
    out_begin_ = 0;
  }
  CHECK(out_end_ + size <= OutBlock::kRoom);
  char* const at = out_->bytes.data() + out_end_;
  out_end_ += size;
  return at;
}

// False when the transport takes no more or is dead.
bool Session::flush() {
  while (out_) {
    const iovec piece{out_->bytes.data() + out_begin_, out_size()};
    const auto io = transport_->write({&piece, 1});
    // A peer that refuses our certificate closes behind its alert, and our first frames may meet its reset before
    // we have read the alert: reading ends such a session, or its time does.
    const bool refused_unheard = io.kind == base::Io::Kind::kError && step_ == Step::kBegin;
    if (io.kind == base::Io::Kind::kWouldBlock || refused_unheard) {
      blocked_ = true;
      return false;
    }
    if (io.kind != base::Io::Kind::kBytes) {
      if (!cut()) broken_ = SessionEnd::kLost;
      return false;
    }
    out_begin_ += io.bytes;
    if (out_begin_ == out_end_) engine_.out.give(std::move(out_));
  }
  return true;
}

}  // namespace weft::hbone
