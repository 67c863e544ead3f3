#include "userspace-proxy/http/h2_server.h"

#include <algorithm>
#include <charconv>

#include "userspace-proxy/http/h1_head.h"

namespace weft::http {
namespace {

constexpr size_t kFreeStreams = 256;
constexpr base::Nanos kCheckTimeEvery = base::Millis(15'000);
constexpr base::Nanos kRoundTrip = std::chrono::seconds(1);  // of a client, with some to spare

}  // namespace

void H2ServerStream::begin(H2ServerSession& session, int32_t id) {
  server_ = &session;
  attach(session, id);
  exchange_.request().version = Version::kHttp2;
}

void H2ServerStream::gone(observe::Flag flag, std::string_view details) {
  exchange_.on_source_gone(flag, details);
  exchange_.request().clear();
  host_ = protocol_ = {};
  server_ = nullptr;
  detach();
}

void H2ServerStream::add_field(std::string_view name, std::string_view value) {
  if (!charge_field(name, value)) return;
  if (name.starts_with(':')) return add_pseudo(name, value);
  auto field = make_field(name, value);
  if (head_taken_) {
    // Framing and routing fields have no business in trailers.
    field.dropped = field.known != Known::kOther && field.known != Known::kGrpcStatus;
    in_trailers_.push_back(field);
    return;
  }
  if (field.known == Known::kHost) host_ = field.value;
  exchange_.request().fields.push_back(field);
}

void H2ServerStream::add_pseudo(std::string_view name, std::string_view value) {
  RequestHead& head = exchange_.request();
  if (name == ":method") head.method = arena_.copy(value);
  if (name == ":path") head.target = arena_.copy(value);
  if (name == ":authority") head.authority = arena_.copy(value);
  if (name == ":protocol") protocol_ = arena_.copy(value);
  if (name == ":scheme") head.scheme = value == "https" ? "https" : "http";
}

// Crumbs of a cookie are one field again where HTTP/1 may see them (RFC 9113 8.2.3).
void H2ServerStream::join_cookies(Fields& fields) {
  size_t count = 0, size = 0;
  for (const auto& field : fields)
    if (field.known == Known::kCookie) ++count, size += field.value.size() + 2;
  if (count < 2) return;
  char* const out = arena_.allocate(size);
  char* next = out;
  Field* first = nullptr;
  for (auto& field : fields) {
    if (field.known != Known::kCookie) continue;
    if (first == nullptr)
      first = &field;
    else
      field.dropped = true, *next++ = ';', *next++ = ' ';
    next = std::ranges::copy(field.value, next).out;
  }
  first->value = {out, static_cast<size_t>(next - out)};
}

void H2ServerStream::note_fields(RequestHead& head) {
  for (const auto& field : head.fields) {
    if (field.known == Known::kTe) head.te_trailers |= equal_fold(field.value, "trailers");
    if (field.known == Known::kExpect) head.expect_continue |= equal_fold(field.value, "100-continue");
    if (field.known == Known::kContentType) head.grpc = field.value.starts_with("application/grpc");
    if (field.known != Known::kContentLength || head.body == Body::kNone) continue;
    const auto end = field.value.data() + field.value.size();
    if (std::from_chars(field.value.data(), end, head.content_length).ptr == end) head.body = Body::kLength;
  }
}

std::string_view H2ServerStream::check_head(RequestHead& head) {
  if (head.method == "CONNECT" && protocol_ != "websocket") return {};  // refused by the exchange
  if (head.authority.empty()) head.authority = host_;
  if (!host_.empty() && !equal_fold(host_, head.authority)) return "http2.host_disagrees";
  if (!valid_authority(head.authority)) return "http2.authority";
  if (head.target.empty() || (head.target[0] != '/' && !(head.target == "*" && head.method == "OPTIONS")))
    return "http2.path";
  return {};
}

// An extended CONNECT (RFC 8441) is the GET with an upgrade that HTTP/1 has for it. The key is part of that
// handshake only.
void H2ServerStream::become_websocket(RequestHead& head) {
  static constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  head.method = "GET";
  head.websocket = true;
  head.body = Body::kNone;
  char key[24];  // 16 random bytes
  for (int i = 0; i < 21; ++i) key[i] = kBase64[core_.random.next() % 64];
  key[21] = kBase64[(core_.random.next() % 4) * 16];
  key[22] = key[23] = '=';
  head.fields.push_back(make_field("sec-websocket-key", {key, sizeof key}));
}

void H2ServerStream::take_head(bool end_stream) {
  --server_->open_heads_;
  head_taken_ = true;
  in_ended_ = in_end_taken_ = end_stream;
  RequestHead& head = exchange_.request();
  head.body = end_stream ? Body::kNone : Body::kChunked;
  const auto& plan = server_->host_.plan();
  if (too_large_) return exchange_.refuse(*this, plan, 431, "headers_too_large");
  const auto problem = check_head(head);
  if (!problem.empty()) {
    ++core_.counters().http_bad_requests;
    return exchange_.refuse(*this, plan, 400, problem);
  }
  note_fields(head);
  if (head.method == "CONNECT" && protocol_ == "websocket" && !end_stream) become_websocket(head);
  join_cookies(head.fields);
  exchange_.begin(*this, plan);
}

void H2ServerStream::resume() {
  if (server_ == nullptr) return;
  server_->input_wanted(*this);
  core_.work_later(*server_);
}

std::string_view H2ServerStream::number_text(uint64_t number) {
  char* const out = arena_.allocate(20);
  return {out, static_cast<size_t>(std::to_chars(out, out + 20, number).ptr - out)};
}

void H2ServerStream::send_informational(const ResponseHead& head) {
  if (server_ == nullptr) return;
  server_->list_clear();
  server_->list_add(":status", number_text(head.status));
  server_->list_add_fields(head.fields, false, arena_);
  nghttp2_submit_headers(server_->session_.get(), NGHTTP2_FLAG_NONE, id_, nullptr, server_->list_.data(),
                         server_->list_.size(), nullptr);
  server_->write_later();
}

void H2ServerStream::send_head(const ResponseHead& head, std::span<const Extra> extras) {
  if (server_ == nullptr) return;
  server_->list_clear();
  // 101 is HTTP/1's word for what is a 200 here.
  server_->list_add(":status", number_text(head.body == Body::kTunnel ? 200 : head.status));
  server_->list_add_fields(head.fields, head.status != 204, arena_);
  for (const auto& extra : extras) server_->list_add(extra.name, extra.value);
  if (head.body == Body::kLength && find(head.fields, Known::kContentLength) == nullptr)
    server_->list_add("content-length", number_text(head.content_length));
  const auto body = provider();
  nghttp2_submit_response(server_->session_.get(), id_, server_->list_.data(), server_->list_.size(),
                          head.body == Body::kNone ? nullptr : &body);
  if (head.body == Body::kNone) out_ended_ = true;
  server_->write_later();
}

void H2ServerStream::send_end(const Fields* trailers) {
  if (!out_ended_) queue_end(trailers);
}

// The response is complete and the request is not: the rest of it need not come (RFC 9113 8.1).
void H2ServerStream::output_ended() {
  if (!in_ended_)
    nghttp2_submit_rst_stream(server_->session_.get(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_NO_ERROR);
}

void H2ServerStream::abort() {
  if (server_ == nullptr) return;
  nghttp2_submit_rst_stream(server_->session_.get(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_INTERNAL_ERROR);
  server_->write_later();
}

void H2ServerStream::stream_closed(uint32_t /*error_code*/) {
  H2ServerSession& session = *server_;
  if (!head_taken_) --session.open_heads_;
  gone(observe::Flag::kSourceReset, "http2.remote_reset");
  session.release(*this);
}

H2ServerSession::H2ServerSession(Core& core, ServerHost& host)
    : H2Session(core, true),
      host_(host),
      timer_(core.loop.timers(), [this] { check_time(); }),
      since_(core.loop.turn_time()) {
  timer_.arm(kCheckTimeEvery);
}

H2ServerSession::~H2ServerSession() = default;

void H2ServerSession::start(std::string_view bytes) {
  if (!feed(bytes)) return end();
  core_.work_later(*this);
}

void H2ServerSession::work() {
  if (over_) return;
  deliver_held();
  bool more = false;
  if (!read_all(&more)) return end();
  if (more) core_.work_next_turn(*this);
}

H2Stream* H2ServerSession::open_stream(int32_t id) {
  auto& free = core_.free_streams;
  auto stream = free.empty() ? std::make_unique<H2ServerStream>(core_) : std::move(free.back());
  if (!free.empty()) free.pop_back();
  stream->begin(*this, id);
  stream->place = streams_.size();
  ++open_heads_;
  since_ = core_.loop.turn_time();
  return streams_.emplace_back(std::move(stream)).get();
}

void H2ServerSession::release(H2ServerStream& stream) {
  auto owned = std::move(streams_[stream.place]);
  if (stream.place + 1 != streams_.size()) {
    streams_[stream.place] = std::move(streams_.back());
    streams_[stream.place]->place = stream.place;
  }
  streams_.pop_back();
  since_ = core_.loop.turn_time();
  if (core_.free_streams.size() < kFreeStreams) core_.free_streams.push_back(std::move(owned));
}

// A warning first, so that requests that cross it are still served (RFC 9113 6.8).
void H2ServerSession::drain(base::Nanos patience) {
  if (patience <= base::Nanos(0)) return name_last_stream();
  nghttp2_submit_shutdown_notice(session_.get());
  warned_ = true;
  timer_.arm(std::min(patience, kRoundTrip));
  write_later();
}

void H2ServerSession::name_last_stream() {
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR, nullptr,
                        0);
  write_later();
}

void H2ServerSession::abort(observe::Flag flag) {
  close(flag);
}

void H2ServerSession::close(observe::Flag flag) {
  if (over_) return;
  over_ = true;
  timer_.cancel();
  core_.forget(*this);
  for (auto& stream : streams_) stream->gone(flag, "downstream_remote_disconnect");
  host_.session_over();
}

void H2ServerSession::check_time() {
  Turn turn(core_);
  if (std::exchange(warned_, false)) name_last_stream();
  const auto waited = core_.loop.turn_time() - since_;
  const auto& limits = core_.limits;
  if (open_heads_ > 0 && limits.request_head > base::Nanos(0) && waited >= limits.request_head)
    return close(observe::Flag::kIdleTimeout);
  if (streams_.empty() && limits.idle_source > base::Nanos(0) && waited >= limits.idle_source)
    nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
  write_later();
  timer_.arm(kCheckTimeEvery);
}

}  // namespace weft::http
