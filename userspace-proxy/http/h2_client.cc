#include "userspace-proxy/http/h2_client.h"

#include <charconv>

#include "userspace-proxy/http/pool.h"

namespace weft::http {

void H2ClientStream::open(Exchange& exchange) {
  exchange_ = &exchange;
  exchange.on_stream(*this);
}

void H2ClientStream::send_head(const RequestHead& head, std::string_view target,
                               std::span<const Extra> extras) {
  head_request_ = head.method == "HEAD";
  client_.list_clear();
  client_.list_add(":method", head.method);
  client_.list_add(":scheme", head.scheme);
  client_.list_add(":authority", head.authority);
  client_.list_add(":path", target);
  client_.list_add_fields(head.fields, true, arena_);
  for (const auto& extra : extras) client_.list_add(extra.name, extra.value);
  const auto body = provider();
  const int32_t id =
      nghttp2_submit_request(client_.session_.get(), nullptr, client_.list_.data(), client_.list_.size(),
                             head.body == Body::kNone ? nullptr : &body, static_cast<H2Stream*>(this));
  if (head.body == Body::kNone) out_ended_ = true;
  if (id < 0) {
    client_.unopened_.push_back(this);
    return core_.work_later(client_);
  }
  attach(client_, id);
  client_.write_later();
}

void H2ClientStream::send_end(const Fields* trailers) {
  if (!out_ended_) queue_end(trailers);
}

void H2ClientStream::resume() {
  client_.input_wanted(*this);
  core_.work_later(client_);
}

base::SocketAddress H2ClientStream::local() const {
  return client_.local_;
}

void H2ClientStream::output_drained() {
  if (exchange_ != nullptr) exchange_->on_destination_writable();
}

void H2ClientStream::add_field(std::string_view name, std::string_view value) {
  if (!charge_field(name, value)) return;
  if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), head_.status);
    return;
  }
  auto field = make_field(name, value);
  if (head_taken_) {
    field.dropped = field.known != Known::kOther && field.known != Known::kGrpcStatus;
    in_trailers_.push_back(field);
  } else {
    head_.fields.push_back(field);
  }
}

Body H2ClientStream::body_of(bool end_stream) {
  if (end_stream || head_request_ || head_.status == 204 || head_.status == 304) return Body::kNone;
  const auto length = value_of(head_.fields, Known::kContentLength);
  const auto end = length.data() + length.size();
  if (!length.empty() && std::from_chars(length.data(), end, head_.content_length).ptr == end)
    return Body::kLength;
  return Body::kChunked;
}

void H2ClientStream::take_head(bool end_stream) {
  if (exchange_ == nullptr) return;
  // nghttp2 only asks for three digits. RFC 9110, 15: none begins with 0. One above 599 is passed on, as in
  // HTTP/1.
  if (too_large_ || head_.status < 100 || head_.status == 101) {
    const std::string_view why = too_large_            ? "headers_too_large"
                                 : head_.status == 101 ? "http2.unasked_upgrade"
                                                       : "http2.status";
    reset(NGHTTP2_PROTOCOL_ERROR);
    return failed(observe::Flag::kDestinationProtocolError, why, false);
  }
  head_.version = Version::kHttp2;
  if (head_.status < 200 && !end_stream) {
    exchange_->on_informational(head_);
    head_.clear();
    arena_.reset();
    head_bytes_ = head_fields_ = 0;
    return;
  }
  head_taken_ = true;
  head_.body = body_of(end_stream);
  exchange_->on_response_head(head_);
  if (!end_stream) return;
  in_ended_ = in_end_taken_ = true;
  take_end(nullptr);
}

Exchange* H2ClientStream::let_go() {
  core_.pool->stream_over(client_.entry());
  return std::exchange(exchange_, nullptr);
}

void H2ClientStream::reset(uint32_t error_code) {
  out_.clear();
  if (id_ == 0 || closed_) return;
  nghttp2_submit_rst_stream(client_.session_.get(), NGHTTP2_FLAG_NONE, id_, error_code);
  client_.write_later();
}

void H2ClientStream::take_end(const Fields* trailers) {
  if (exchange_ == nullptr) return;
  Exchange* const exchange = let_go();
  // Answered before the request was through: the rest of it is not wanted.
  if (!out_ended_) reset(NGHTTP2_NO_ERROR);
  exchange->on_response_end(trailers);
  if (closed_) client_.release(*this);
}

void H2ClientStream::cancel() {
  static_cast<void>(let_go());
  reset(NGHTTP2_CANCEL);
  if (closed_ || id_ == 0) client_.release(*this);
}

void H2ClientStream::failed(observe::Flag flag, std::string_view details, bool untouched) {
  if (exchange_ == nullptr) return;
  if (flag == observe::Flag::kDestinationProtocolError) ++core_.counters().http_destination_protocol_errors;
  const Failure failure{
      .flag = flag,
      .details = details,
      .transport = {},
      .status = static_cast<uint16_t>(flag == observe::Flag::kDestinationProtocolError ? 502 : 503),
      .untouched = untouched,
      .reused = client_.requests_ > 1};
  Exchange* const exchange = let_go();
  exchange->on_destination_failed(failure);
}

void H2ClientStream::stream_closed(uint32_t error_code) {
  if (exchange_ != nullptr && error_code == NGHTTP2_NO_ERROR && in_ended_ && !in_end_taken_) {
    closed_ = true;  // all is here, the source is slow
    return;
  }
  // Refused, or above the last stream of a GOAWAY: nobody looked at it.
  const bool refused = error_code == NGHTTP2_REFUSED_STREAM;
  failed(error_code == NGHTTP2_PROTOCOL_ERROR ? observe::Flag::kDestinationProtocolError
                                              : observe::Flag::kDestinationReset,
         head_taken_ ? "upstream_reset_after_response_started" : "upstream_reset_before_response_started",
         refused);
  client_.release(*this);
}

H2ClientSession::H2ClientSession(Core& core, PoolEntry& entry, std::unique_ptr<base::Transport> transport)
    : ClientSession(core, entry, std::move(transport)), H2Session(core, false), local_(local_address()) {
  write_later();  // the preface
}

H2ClientSession::~H2ClientSession() = default;

void H2ClientSession::open(Exchange& exchange) {
  ++requests_;
  auto& stream = *streams_.emplace_back(std::make_unique<H2ClientStream>(core_, *this));
  stream.place = streams_.size() - 1;
  update_capacity();
  stream.open(exchange);
}

void H2ClientSession::update_capacity() {
  const uint32_t most =
      nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  const bool room =
      !going_away_ && !over_ && streams_.size() < std::min<size_t>(most, core_.limits.h2_streams);
  if (room)
    core_.pool->available(*this);
  else
    core_.pool->full(*this);
}

void H2ClientSession::release(H2ClientStream& stream) {
  forget(stream);
  std::erase(unopened_, &stream);
  auto owned = std::move(streams_[stream.place]);
  if (stream.place + 1 != streams_.size()) {
    streams_[stream.place] = std::move(streams_.back());
    streams_[stream.place]->place = stream.place;
  }
  streams_.pop_back();
  core_.loop.retire(std::move(owned));
  idle_since_ = core_.loop.turn_time();
  if (over_) return;
  update_capacity();
  if (going_away_ && streams_.empty()) core_.work_later(*this);
}

void H2ClientSession::go_away(int32_t /*last_stream*/) {
  going_away_ = true;
  update_capacity();
}

void H2ClientSession::on_readable() {
  Turn turn(core_);
  work();
}

void H2ClientSession::work() {
  if (over_) return;
  for (H2ClientStream* stream : std::exchange(unopened_, {})) {
    stream->failed(observe::Flag::kDestinationReset, "http2.no_stream_left", true);
    release(*stream);
    going_away_ = true;  // ids are used up
  }
  deliver_held();
  bool more = false;
  if (!read_all(&more) || (going_away_ && streams_.empty())) return close();
  if (more) core_.work_next_turn(*this);
}

void H2ClientSession::end() {
  close();
}

void H2ClientSession::close() {
  if (over_) return;
  over_ = true;
  core_.forget(*this);
  core_.pool->full(*this);
  const bool unwritten = outlet_.written() == 0;
  for (auto& stream : streams_)
    stream->failed(observe::Flag::kDestinationClosed, "upstream_reset_before_response_started", unwritten);
  core_.pool->closed(*this);
}

}  // namespace weft::http
