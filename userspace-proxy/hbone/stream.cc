#include "userspace-proxy/hbone/stream.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "userspace-proxy/hbone/callbacks.h"
#include "userspace-proxy/hbone/session.h"

namespace weft::hbone {
namespace {

// Taken from a writer whose peer wants no more before he is told so by an error.
constexpr size_t kMaxDiscarded = 1u << 20;

base::Io error(int sys_errno) {
  return {base::Io::Kind::kError, 0, sys_errno};
}

nghttp2_nv field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

Stream::Stream(Engine& engine, Session& session, int32_t id)
    : engine_(engine), session_(&session), head_(std::make_unique<Head>()), held_(engine.held, session.account_), id_(id) {}

Stream::~Stream() {
  if (dead_ != nullptr) *dead_ = true;
  if (edge_due_) engine_.loop.forget(this);
  if (session_ == nullptr) return;
  drop_input();
  const bool clean = step_ == Step::kRefused || (step_ == Step::kData && in_end_taken_ && out_ended_);
  if (!closed_ && step_ != Step::kReset && !clean)
    abort(step_ == Step::kHead ? NGHTTP2_CANCEL : NGHTTP2_CONNECT_ERROR);
  if (!closed_) nghttp2_session_set_stream_user_data(session_->session_.get(), id_, nullptr);
  session_->remove(*this);
}

// ---- head

void Stream::add_field(std::string_view name, std::string_view value, size_t limit) {
  if (head_done_) return;
  Head& head = *head_;
  head.bytes += name.size() + value.size() + 32;  // RFC 9113 6.5.2
  head.too_large |= head.bytes > limit;
  if (head.too_large) return;
  if (name == ":method") {
    head.method = value;
  } else if (name == ":authority") {
    head.authority = value;
  } else if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), head.status);
  } else if (name == "baggage") {
    if (!head.baggage.empty()) head.baggage += ',';
    head.baggage += value;
  } else if (name == "forwarded" && head.forwarded.empty()) {
    head.forwarded = value;
  } else if (name == "traceparent" && head.traceparent.empty()) {
    head.traceparent = value;
  }
}

void Stream::begin_data() {
  if (step_ == Step::kHead) step_ = Step::kData;
  owner_ = nullptr;
  head_.reset();
}

void Stream::accept(std::string_view baggage) {
  if (session_ != nullptr && step_ == Step::kHead && !closed_) {
    const nghttp2_nv fields[] = {field(":status", "200"), field("baggage", baggage)};
    const auto provider = data_provider();
    nghttp2_submit_response(session_->session_.get(), id_, fields, baggage.empty() ? 1 : 2, &provider);
    session_->flush_soon();
  }
  begin_data();
}

void Stream::refuse(uint16_t status) {
  if (session_ == nullptr || step_ != Step::kHead) return;
  step_ = Step::kRefused;
  owner_ = nullptr;
  if (closed_) return;
  const auto text = std::to_string(status);
  const nghttp2_nv fields[] = {field(":status", text)};
  nghttp2_submit_response(session_->session_.get(), id_, fields, 1, nullptr);
  session_->flush_soon();
}

// ---- Transport

base::Status Stream::attach(base::Loop& loop, base::TransportHandler* handler) {
  CHECK(&loop == &engine_.loop);
  if (handler_ == nullptr && !edge_due_) {
    edge_due_ = true;
    loop.again(this);
  }
  handler_ = handler;
  return {};
}

void Stream::on_io(uint32_t) {
  edge_due_ = false;
  if (handler_ == nullptr) return;
  if (session_ == nullptr) return tell_reset();
  session_->mark(*this, kWritable);
  session_->mark(*this, kReadable);
  session_->settle();
}

base::Io Stream::read(std::span<char> into) {
  if (step_ != Step::kData) return error(ECONNRESET);
  size_t taken = held_.take(into);
  if (taken < into.size() && fresh_first_ != 0) taken += take_fresh(into.subspan(taken));
  if (taken > 0) {
    give_credit(taken);
    return {base::Io::Kind::kBytes, taken, 0};
  }
  if (!in_ended_ || into.empty()) return {base::Io::Kind::kWouldBlock, 0, 0};
  in_end_taken_ = true;
  return {base::Io::Kind::kEnd, 0, 0};
}

size_t Stream::lend(std::span<iovec> pieces) {
  if (step_ != Step::kData || !held_.empty()) return 0;
  size_t count = 0;
  for (uint32_t at = fresh_first_; at != 0 && count < pieces.size(); at = engine_.fresh[at - 1].next) {
    const auto bytes = engine_.fresh[at - 1].bytes;
    pieces[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  return count;
}

void Stream::consume(size_t bytes) {
  give_credit(bytes);
  while (bytes > 0) {
    auto& piece = engine_.fresh[fresh_first_ - 1];
    const size_t size = std::min(piece.bytes.size(), bytes);
    piece.bytes.remove_prefix(size);
    bytes -= size;
    if (piece.bytes.empty()) fresh_first_ = piece.next;
  }
}

base::Io Stream::write(std::span<const iovec> from) {
  size_t total = 0;
  for (const auto& piece : from) total += piece.iov_len;
  if (step_ == Step::kData && unwanted_) {
    discarded_ += total;
    return discarded_ > kMaxDiscarded ? error(EPIPE) : base::Io{base::Io::Kind::kBytes, total, 0};
  }
  if (step_ != Step::kData || session_ == nullptr || session_->cut()) return error(ECONNRESET);
  if (out_ended_) return error(EPIPE);
  if (total == 0) return {base::Io::Kind::kBytes, 0, 0};
  pending_ = from.data();
  pending_offset_ = 0;
  pending_left_ = total;
  blocked_ = false;
  session_->send(*this);
  const size_t taken = total - pending_left_;
  blocked_ = pending_left_ > 0;
  pending_ = nullptr;
  pending_left_ = 0;
  if (taken > 0) return {base::Io::Kind::kBytes, taken, 0};
  return session_->cut() ? error(ECONNRESET) : base::Io{base::Io::Kind::kWouldBlock, 0, 0};
}

void Stream::shutdown_write() {
  if (out_ended_) return;
  out_ended_ = true;
  if (step_ != Step::kData || session_ == nullptr || closed_) return;
  session_->resume(*this);
  session_->write_later();
}

void Stream::reset() {
  handler_ = nullptr;
  drop_input();
  if (step_ == Step::kReset) return;
  step_ = Step::kReset;
  if (session_ != nullptr && !closed_) abort(NGHTTP2_CONNECT_ERROR);
}

bool Stream::ends_soon() const { return session_ == nullptr || !session_->ready(); }

// ---- from the session

void Stream::add_data(std::string_view bytes) {
  if (bytes.empty()) return;
  if (step_ == Step::kReset || step_ == Step::kRefused) return give_credit(bytes.size());
  auto& fresh = engine_.fresh;
  fresh.push_back({bytes, 0});
  const auto place = static_cast<uint32_t>(fresh.size());
  if (fresh_first_ == 0)
    fresh_first_ = place;
  else
    fresh[fresh_last_ - 1].next = place;
  fresh_last_ = place;
  session_->mark(*this, kReadable);
}

size_t Stream::take_fresh(std::span<char> into) {
  size_t taken = 0;
  while (fresh_first_ != 0 && taken < into.size()) {
    auto& piece = engine_.fresh[fresh_first_ - 1];
    const size_t size = std::min(piece.bytes.size(), into.size() - taken);
    std::memcpy(into.data() + taken, piece.bytes.data(), size);
    piece.bytes.remove_prefix(size);
    taken += size;
    if (piece.bytes.empty()) fresh_first_ = piece.next;
  }
  return taken;
}

void Stream::stash() {
  for (; fresh_first_ != 0; fresh_first_ = engine_.fresh[fresh_first_ - 1].next)
    held_.append(engine_.fresh[fresh_first_ - 1].bytes);
  if (held_.empty() || engine_.may_hold(*session_->account_)) return;
  // Too much waits for slow readers in this worker: the peer who has more than his share pays, by the stream whose
  // bytes have come last.
  ++engine_.counters.hbone_streams_shed;
  drop_input();
  if (step_ == Step::kReset) return;
  step_ = Step::kReset;
  error_code_ = NGHTTP2_CONNECT_ERROR;
  if (!closed_) abort(NGHTTP2_CONNECT_ERROR);
  session_->mark(*this, kGone);
}

void Stream::on_closed(uint32_t code) {
  closed_ = true;
  if (step_ == Step::kReset || step_ == Step::kRefused) return;
  const bool whole = code == NGHTTP2_NO_ERROR && in_ended_;
  if (whole && (step_ == Step::kData || head_done_)) {
    unwanted_ = true;
    return;
  }
  if (step_ == Step::kData) ++engine_.counters.hbone_streams_reset;
  step_ = Step::kReset;
  error_code_ = code;
  drop_input();
  session_->mark(*this, kGone);
}

void Stream::on_tunnel_lost() {
  stash_complete();
  session_ = nullptr;
  if (step_ == Step::kReset || (step_ == Step::kData && closed_)) return;
  step_ = Step::kReset;
  error_code_ = kTunnelLost;
  if (head_ == nullptr) return tell_reset();
  if (owner_ != nullptr) owner_->on_gone(*this, error_code_);
}

// A stream that has come to its end keeps what was not read yet; of any other the rest is lost anyway.
void Stream::stash_complete() {
  if (!closed_ || step_ != Step::kData) return drop_input();
  for (; fresh_first_ != 0; fresh_first_ = engine_.fresh[fresh_first_ - 1].next)
    held_.append(engine_.fresh[fresh_first_ - 1].bytes);
}

// Both edges, as epoll shows an error. The stream may be gone afterwards.
void Stream::tell_reset() {
  const Watch watch(*this);
  if (handler_ != nullptr) handler_->on_writable();
  if (!watch.dead && handler_ != nullptr) handler_->on_readable();
}

ssize_t Stream::produce(size_t room, uint32_t* flags) {
  const size_t out = session_->out_size();
  const size_t size = out < OutBlock::kFull ? std::min({room, pending_left_, OutBlock::kHigh - out - kFrameHead}) : 0;
  if (size == 0 && (pending_left_ > 0 || !out_ended_)) {
    deferred_ = true;
    if (std::exchange(blocked_, false)) session_->queue_writer(*this);
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (size == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

// REQUIRES: produce() has just promised `size` bytes.
void Stream::copy_out(char* to, size_t size) {
  pending_left_ -= size;
  while (size > 0) {
    const size_t n = std::min(size, pending_->iov_len - pending_offset_);
    std::memcpy(to, static_cast<const char*>(pending_->iov_base) + pending_offset_, n);
    to += n;
    size -= n;
    pending_offset_ += n;
    if (pending_offset_ < pending_->iov_len) continue;
    ++pending_;
    pending_offset_ = 0;
  }
}

// ---- inside

void Stream::drop_input() {
  size_t dropped = held_.size();
  for (; fresh_first_ != 0; fresh_first_ = engine_.fresh[fresh_first_ - 1].next)
    dropped += engine_.fresh[fresh_first_ - 1].bytes.size();
  held_.clear();
  if (dropped > 0) give_credit(dropped);
}

void Stream::give_credit(size_t bytes) {
  if (session_ != nullptr) session_->give_credit(id_, bytes);
}

void Stream::abort(uint32_t error_code) {
  nghttp2_submit_rst_stream(session_->session_.get(), NGHTTP2_FLAG_NONE, id_, error_code);
  session_->flush_soon();
}

}  // namespace weft::hbone
