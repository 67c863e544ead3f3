#include "userspace-proxy/hbone/session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "userspace-proxy/h2/lazy_memory.h"
#include "userspace-proxy/hbone/callbacks.h"

namespace weft::hbone {
namespace {

constexpr auto kSteps = static_cast<size_t>(Session::Step::kCount);
using Row = std::array<bool, kSteps>;
constexpr std::array<Row, kSteps> kLegal = {{
    // kBegin, kOpen, kDraining, kOver
    {{false, true, true, true}},    // kBegin
    {{false, false, true, true}},   // kOpen
    {{false, false, false, true}},  // kDraining
    {{false, false, false, false}}, // kOver
}};

constexpr char kPing[] = "weftping", kDrainPing[] = "weftgone";

struct OptionDelete {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

const uint8_t* opaque(const char* text) {
  return reinterpret_cast<const uint8_t*>(text);
}

nghttp2_session* make_session(Role role, const Limits& limits, Session* user) {
  nghttp2_option* raw;
  CHECK(nghttp2_option_new(&raw) == 0);
  const std::unique_ptr<nghttp2_option, OptionDelete> option(raw);
  nghttp2_option_set_no_auto_window_update(raw, 1);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_settings(raw, 32);
  nghttp2_option_set_max_continuations(raw, 8);
  nghttp2_option_set_max_outbound_ack(raw, 1'000);
  nghttp2_option_set_max_send_header_block_length(raw, 64 * 1024);
  nghttp2_option_set_max_deflate_dynamic_table_size(raw, 4'096);
  // Ours are tighter and know which resets are cheap.
  nghttp2_option_set_stream_reset_rate_limit(raw, 20'000, 2'000);
  nghttp2_option_set_peer_max_concurrent_streams(raw, limits.client_streams);
  nghttp2_session* session = nullptr;
  const int rv = role == Role::kServer
                     ? nghttp2_session_server_new3(&session, session_callbacks(), user, raw, h2::lazy_memory())
                     : nghttp2_session_client_new3(&session, session_callbacks(), user, raw, h2::lazy_memory());
  CHECK(rv == 0);
  return session;
}

nghttp2_nv field(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}

}  // namespace

std::string_view name_of(SessionEnd end) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "finished", "connection lost", "refused with a TLS alert", "no answer to PING", "no SETTINGS in time",
      "HTTP/2 protocol error", "flood", "aborted"};
  return kNames[static_cast<size_t>(end)];
}

Session::Session(Engine& engine, Role role, std::unique_ptr<base::Transport> transport, Times times,
                 SessionOwner& owner)
    : engine_(engine),
      role_(role),
      owner_(owner),
      transport_(std::move(transport)),
      session_(make_session(role, engine.limits, this)),
      ping_timer_(engine.loop.timers(), [this] { on_ping_timer(); }),
      life_timer_(engine.loop.timers(), [this] { on_life_timer(); }),
      times_(times),
      idle_since_(engine.loop.clock().now()),
      control_(engine.limits.control_burst, engine.limits.control_per_second, idle_since_),
      rapid_resets_(engine.limits.rapid_reset_burst, engine.limits.rapid_reset_per_second, idle_since_) {}

Session::~Session() {
  engine_.loop.forget(this);
  leave();
  if (out_) engine_.out.give(std::move(out_));
}

void Session::start() {
  submit_settings();
  life_timer_.arm(times_.begin_within);
  if (!transport_->attach(engine_.loop, this)) broken_ = SessionEnd::kLost;
  flush_soon();
}

void Session::submit_settings() {
  const auto& limits = engine_.limits;
  const bool server = role_ == Role::kServer;
  const nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits.frame_size},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, server ? limits.server_head_bytes : limits.client_head_bytes},
      // A server may not speak of push at all (RFC 9113 6.5.2), a client opens no streams of the other's.
      {server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
       server ? limits.server_streams : 0},
  };
  CHECK(nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, entries, std::size(entries)) == 0);
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.connection_window));
}

size_t Session::head_limit() const {
  return role_ == Role::kServer ? engine_.limits.server_head_bytes : engine_.limits.client_head_bytes;
}

// ---- streams

size_t Session::room() const {
  if (step_ != Step::kOpen || cut()) return 0;
  const size_t peers =
      nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  const size_t most = std::min<size_t>(engine_.limits.client_streams, peers);
  return most > open_ ? most - open_ : 0;
}

std::unique_ptr<Stream> Session::open(const Request& request, StreamOwner& owner) {
  if (room() == 0) return nullptr;
  std::array<nghttp2_nv, 5> fields;
  size_t count = 0;
  fields[count++] = field(":method", "CONNECT");
  fields[count++] = field(":authority", request.authority);
  if (!request.baggage.empty()) fields[count++] = field("baggage", request.baggage);
  // Different every time: not worth a place in the peer's table.
  if (!request.forwarded.empty())
    fields[count++] = field("forwarded", request.forwarded, NGHTTP2_NV_FLAG_NO_INDEX);
  if (!request.traceparent.empty())
    fields[count++] = field("traceparent", request.traceparent, NGHTTP2_NV_FLAG_NO_INDEX);
  const int32_t next = static_cast<int32_t>(nghttp2_session_get_next_stream_id(session_.get()));
  std::unique_ptr<Stream> stream(new Stream(engine_, *this, next));
  const auto provider = data_provider();
  const int32_t id =
      nghttp2_submit_request(session_.get(), nullptr, fields.data(), count, &provider, stream.get());
  if (id != next) {
    stream->session_ = nullptr;
    drain();  // ids are used up
    return nullptr;
  }
  stream->owner_ = &owner;
  adopt(*stream);
  flush_soon();
  return stream;
}

void Session::adopt(Stream& stream) {
  ++open_;
  stream.place_ = streams_.size();
  streams_.push_back(&stream);
}

void Session::begin_request(int32_t id) {
  newborn_.emplace_back(new Stream(engine_, *this, id));
  Stream& stream = *newborn_.back();
  nghttp2_session_set_stream_user_data(session_.get(), id, &stream);
  adopt(stream);
}

void Session::stream_forgotten() {
  --open_;
  room_news_ = true;
  if (open_ == 0) idle_since_ = engine_.loop.turn_time();
}

void Session::remove(Stream& stream) {
  streams_[stream.place_] = streams_.back();
  streams_[stream.place_]->place_ = stream.place_;
  streams_.pop_back();
  if (stream.events_ != 0) std::ranges::replace(touched_, &stream, nullptr);
  if (stream.waits_) std::erase(writers_, &stream);
}

void Session::resume(Stream& stream) {
  if (!std::exchange(stream.deferred_, false)) return;
  nghttp2_session_resume_data(session_.get(), stream.id_);
}

void Session::give_credit(int32_t id, size_t bytes) {
  if (step_ == Step::kOver) return;
  nghttp2_session_consume(session_.get(), id, bytes);  // of a forgotten stream: the connection's window only
  if (nghttp2_session_want_write(session_.get()) != 0) write_later();
}

// ---- control frames

bool Session::charge(const nghttp2_frame& frame) {
  if (!h2::carries_nothing(frame)) return true;
  const auto now = engine_.loop.turn_time();
  bool fine = control_.take(now);
  if (frame.hd.type == NGHTTP2_RST_STREAM && role_ == Role::kServer) {
    const Stream* const stream = stream_of(frame.hd.stream_id);
    const bool unanswered = stream != nullptr && stream->step_ == Stream::Step::kHead;
    fine &= !unanswered || rapid_resets_.take(now);
  }
  if (fine) return true;
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
  broken_ = SessionEnd::kFlood;
  return false;
}

void Session::on_peer_settings() {
  if (step_ != Step::kBegin) {
    room_news_ = true;
    return;
  }
  enter(Step::kOpen);
  ready_news_ = true;
  life_timer_.cancel();
  if (times_.max_age > base::Nanos(0)) life_timer_.arm(times_.max_age);
  ping_timer_.arm(engine_.limits.ping_every);
}

void Session::on_peer_goaway() {
  if (role_ == Role::kClient) begin_drain();
}

// nghttp2 says so itself when the peer breaks the protocol.
void Session::on_goaway_sent(uint32_t error_code) {
  if (error_code == NGHTTP2_NO_ERROR || cut()) return;
  broken_ = error_code == NGHTTP2_ENHANCE_YOUR_CALM ? SessionEnd::kFlood : SessionEnd::kProtocol;
}

void Session::on_pong(const uint8_t* data) {
  if (std::memcmp(data, kDrainPing, 8) == 0) return name_last_stream();
  if (!std::exchange(pong_due_, false)) return;
  ping_timer_.arm(engine_.limits.ping_every);
}

void Session::on_ping_timer() {
  if (pong_due_) {
    ++engine_.counters.hbone_ping_timeouts;
    return end(SessionEnd::kPingTimeout);
  }
  const auto& limits = engine_.limits;
  const auto idle = engine_.loop.clock().now() - idle_since_;
  const auto most = role_ == Role::kClient ? limits.client_idle : limits.server_idle;
  if (open_ == 0 && step_ == Step::kOpen && idle >= most) drain();
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, opaque(kPing));
  pong_due_ = true;
  ping_timer_.arm(limits.pong_within);
  flush_soon();
}

// ---- life

void Session::enter(Step step) {
  CHECK(kLegal[static_cast<size_t>(step_)][static_cast<size_t>(step)]);
  step_ = step;
}

void Session::on_life_timer() {
  if (step_ == Step::kBegin) return end(SessionEnd::kBeginTimeout);
  if (step_ == Step::kDraining) return name_last_stream();
  ++engine_.counters.hbone_tunnels_expired;
  begin_drain();
}

void Session::drain() {
  begin_drain();
}

// A server first warns, so that requests on their way are still served (RFC 9113 6.8); a client just opens no more.
void Session::begin_drain() {
  if (step_ == Step::kDraining || step_ == Step::kOver) return;
  enter(Step::kDraining);
  away_news_ = true;
  flush_soon();
  if (role_ == Role::kClient) return life_timer_.cancel();
  nghttp2_submit_shutdown_notice(session_.get());
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, opaque(kDrainPing));
  life_timer_.arm(engine_.limits.drain_notice);
}

void Session::name_last_stream() {
  if (step_ != Step::kDraining || role_ == Role::kClient || std::exchange(last_named_, true)) return;
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR, nullptr, 0);
  life_timer_.cancel();
  flush_soon();
}

void Session::abort() {
  if (step_ == Step::kOver || cut()) return;
  for (const Stream* const stream : streams_)
    if (!stream->closed_)
      nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream->id_, NGHTTP2_CONNECT_ERROR);
  pump_frames();  // nothing but GOAWAY leaves once that is asked for
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
  broken_ = SessionEnd::kAborted;
  flush_soon();
}

// REQUIRES: called from the loop, not from inside a call of the owner's.
void Session::finish_if_done() {
  if (step_ == Step::kOver) return;
  if (cut()) return end(broken_);
  const bool drained = step_ == Step::kDraining && open_ == 0 && (role_ == Role::kClient || last_named_);
  if (drained && !std::exchange(terminated_, true)) {
    nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
    return flush_soon();
  }
  if (out_ == nullptr && nghttp2_session_want_read(session_.get()) == 0 &&
      nghttp2_session_want_write(session_.get()) == 0)
    end(SessionEnd::kFinished);
}

void Session::leave() {
  if (step_ == Step::kOver) return;
  enter(Step::kOver);
  ping_timer_.cancel();
  life_timer_.cancel();
  for (Stream* const stream : streams_) {
    stream->drop_input();
    if (!stream->closed_) stream->step_ = Stream::Step::kReset;
    stream->session_ = nullptr;
  }
  streams_.clear();
  newborn_.clear();
  transport_->reset();
}

void Session::end(SessionEnd why) {
  if (step_ == Step::kOver) return;
  enter(Step::kOver);
  ping_timer_.cancel();
  life_timer_.cancel();
  if (why == SessionEnd::kFlood) ++engine_.counters.hbone_floods;
  if (why == SessionEnd::kLost && open_ > 0) ++engine_.counters.hbone_tunnels_lost;
  while (!streams_.empty()) {
    Stream* const stream = streams_.back();
    streams_.pop_back();
    stream->on_tunnel_lost();
  }
  newborn_.clear();
  // An end that looks orderly must not follow resets that could not be sent.
  const bool unsaid = why == SessionEnd::kAborted && out_ != nullptr;
  const bool unreachable = why == SessionEnd::kLost || why == SessionEnd::kRefused ||
                           why == SessionEnd::kPingTimeout || why == SessionEnd::kBeginTimeout;
  if (unsaid || unreachable)
    transport_->reset();
  else
    transport_->shutdown_write();
  owner_.on_session_over(*this, why);
}

}  // namespace weft::hbone
