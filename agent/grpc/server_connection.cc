#include "agent/grpc/server_connection.h"

#include <algorithm>
#include <array>

namespace weft::grpc {
namespace {

constexpr size_t kMaxFields = 64;
// Frames that carry nothing: so many at once, and so many a second.
constexpr double kControlBurst = 200, kControlPerSecond = 50;
constexpr int32_t kSmallWindowUpdate = 256;

base::Instant now() {
  return std::chrono::steady_clock::now();
}

// Frames that cost us work and bring no request further (nghttp2 1.52 has no limit of its own for them).
bool carries_nothing(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
      return true;
    case NGHTTP2_WINDOW_UPDATE:
      return frame.window_update.window_size_increment < kSmallWindowUpdate;
    case NGHTTP2_DATA:
      return frame.hd.length == 0 && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
      return false;
  }
}

bool is_grpc(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  if (!content_type.starts_with(kType)) return false;
  return content_type.size() == kType.size() || content_type[kType.size()] == '+' || content_type[kType.size()] == ';';
}

}  // namespace

// C callbacks of nghttp2; `user` is the ServerConnection.
struct ServerConnection::Callbacks {
  static ServerConnection& self(void* user) { return *static_cast<ServerConnection*>(user); }
  static Stream* stream_of(ServerConnection& me, int32_t id) {
    const auto found = me.streams_.find(id);
    return found == me.streams_.end() ? nullptr : found->second.get();
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    ServerConnection& me = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    auto stream = std::make_unique<Stream>(me.options_.max_message);
    stream->id = frame->hd.stream_id;
    stream->deadline = now() + me.options_.stream;
    stream->request.peer = me.peer_;
    me.streams_.emplace(stream->id, std::move(stream));
    me.idle_since_.store(kBusy, std::memory_order_relaxed);
    return 0;
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    ServerConnection& me = self(user);
    Stream* const stream = stream_of(me, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->header_bytes += name_size + value_size + 32;
    auto& metadata = stream->request.metadata;
    if (stream->header_bytes > me.options_.max_headers || metadata.size() == kMaxFields) {
      ++me.counters_.protocol_errors;
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    const auto field = view_of(name, name_size);
    if (field == ":path") stream->request.path = view_of(value, value_size);
    if (field == ":method") stream->method = view_of(value, value_size);
    if (!field.starts_with(':')) metadata.emplace_back(field, view_of(value, value_size));
    return 0;
  }
  static int data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    ServerConnection& me = self(user);
    Stream* const stream = stream_of(me, id);
    if (stream == nullptr || stream->answered) return 0;
    // An answer before the end of the request: nothing more of it is kept.
    if (auto taken = stream->reader.append(view_of(bytes, size)); !taken) me.refuse(*stream, taken.error());
    return 0;
  }
  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    ServerConnection& me = self(user);
    if (carries_nothing(*frame) && !me.charge_control_frame()) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Stream* const stream = stream_of(me, frame->hd.stream_id);
    if (stream == nullptr || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    stream->input_ended = true;
    if (!stream->answered) me.ready_.push_back(stream->id);
    return 0;
  }
  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
      return 0;
    const Stream* const stream = stream_of(self(user), frame->hd.stream_id);
    // RFC 9113 8.1: an answer that did not wait for the request asks its sender to stop.
    if (stream != nullptr && !stream->input_ended)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    return 0;
  }
  static int stream_closed(nghttp2_session*, int32_t id, uint32_t, void* user) {
    ServerConnection& me = self(user);
    me.streams_.erase(id);
    if (me.streams_.empty()) me.mark_idle();
    return 0;
  }
  static ssize_t body(nghttp2_session* session, int32_t id, uint8_t* into, size_t room, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    const size_t size = stream.answer.copy(reinterpret_cast<char*>(into), room, stream.sent);
    stream.sent += size;
    if (stream.sent < stream.answer.size()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    HeaderList trailers;
    trailers.add("grpc-status", "0");
    nghttp2_submit_trailer(session, id, trailers.data(), trailers.size());
    return static_cast<ssize_t>(size);
  }
  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* list = nullptr;
    CHECK(nghttp2_session_callbacks_new(&list) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(list, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(list, header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(list, data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(list, frame_received);
    nghttp2_session_callbacks_set_on_frame_send_callback(list, frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(list, stream_closed);
    return list;
  }
};

ServerConnection::ServerConnection(const ServerOptions& options, const Handlers& handlers,
                                   ServerCounters& counters, std::string peer)
    : options_(options),
      handlers_(handlers),
      counters_(counters),
      peer_(std::move(peer)),
      control_budget_(kControlBurst) {}

void ServerConnection::mark_idle() {
  idle_from_ = now();
  idle_since_.store(idle_from_.time_since_epoch().count(), std::memory_order_relaxed);
}

bool ServerConnection::charge_control_frame() {
  const base::Instant at = now();
  const double seconds = std::chrono::duration<double>(at - budget_at_).count();
  budget_at_ = at;
  control_budget_ = std::min(kControlBurst, control_budget_ + seconds * kControlPerSecond) - 1;
  flooded_ = control_budget_ < 0;
  return !flooded_;
}

base::Instant ServerConnection::deadline() const {
  if (streams_.empty()) return idle_from_ + options_.idle;
  base::Instant first = base::Instant::max();
  for (const auto& [id, stream] : streams_) first = std::min(first, stream->deadline);
  return first;
}

void ServerConnection::refuse(Stream& stream, const Failure& failure) {
  ++counters_.calls_refused;
  answer(stream, std::unexpected(failure));
}

void ServerConnection::refuse_http(Stream& stream, std::string_view http_status) {
  ++counters_.calls_refused;
  stream.answered = true;
  HeaderList list;
  list.add(":status", http_status);
  nghttp2_submit_response(session_.get(), stream.id, list.data(), list.size(), nullptr);
}

void ServerConnection::answer(Stream& stream, Answer answer) {
  stream.answered = true;
  HeaderList list;
  list.add(":status", "200");
  list.add("content-type", "application/grpc");
  if (answer) {
    stream.answer = frame(*answer);
    const nghttp2_data_provider provider{.source = {.ptr = &stream}, .read_callback = Callbacks::body};
    nghttp2_submit_response(session_.get(), stream.id, list.data(), list.size(), &provider);
    return;
  }
  stream.status = std::to_string(static_cast<int>(answer.error().code));
  stream.message = percent_encode(answer.error().message);
  list.add("grpc-status", stream.status);
  list.add("grpc-message", stream.message);
  nghttp2_submit_response(session_.get(), stream.id, list.data(), list.size(), nullptr);
}

Answer ServerConnection::ask(Stream& stream) {
  const auto handler = handlers_.find(stream.request.path);
  const std::string_view encoding = find(stream.request.metadata, "grpc-encoding");
  auto message = stream.reader.finish();
  if (handler == handlers_.end()) message = std::unexpected(Failure{Code::kUnimplemented, "no such method"});
  if (!encoding.empty() && encoding != "identity")
    message = std::unexpected(Failure{Code::kUnimplemented, "compressed messages are not taken"});
  if (!message) {
    ++counters_.calls_refused;
    return message;
  }
  stream.request.message = std::move(*message);
  ++counters_.calls;
  return handler->second(stream.request);
}

void ServerConnection::answer_ready() {
  for (const int32_t id : std::exchange(ready_, {})) {
    Stream* const stream = Callbacks::stream_of(*this, id);
    if (stream == nullptr) continue;  // reset by the peer meanwhile
    if (stream->method != "POST") {
      refuse_http(*stream, "405");
    } else if (!is_grpc(find(stream->request.metadata, "content-type"))) {
      refuse_http(*stream, "415");
    } else {
      answer(*stream, ask(*stream));
    }
  }
}

base::Status ServerConnection::feed(std::string_view bytes) {
  const ssize_t rv = nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (flooded_) return base::fail(base::ErrorKind::kLimit, "frames that carry nothing", base::Side::kSource);
  if (rv == NGHTTP2_ERR_FLOODED) return base::fail(base::ErrorKind::kLimit, "unread answers", base::Side::kSource);
  if (rv < 0) return base::fail(base::ErrorKind::kInvalid, nghttp2_strerror(static_cast<int>(rv)), base::Side::kSource);
  return {};
}

base::Status ServerConnection::serve(TlsSocket& socket) {
  std::array<char, 16 * 1024> block;
  while (nghttp2_session_want_read(session_.get()) != 0 || nghttp2_session_want_write(session_.get()) != 0) {
    TRY(flush(*session_, socket, std::min(deadline(), now() + options_.stream)));
    if (nghttp2_session_want_read(session_.get()) == 0) break;
    TRY_ASSIGN(const size_t size, socket.read(block, deadline()));
    if (size == 0) return {};
    TRY(feed({block.data(), size}));
    answer_ready();
    // A peer that always has one more byte to say does not escape the clock.
    if (now() >= deadline()) return base::fail(base::ErrorKind::kTimeout, "a stream took too long");
  }
  return {};
}

void ServerConnection::count(const base::Error& error) {
  if (error.kind == base::ErrorKind::kLimit) ++counters_.floods;
  if (error.kind == base::ErrorKind::kInvalid) ++counters_.protocol_errors;
  if (error.kind == base::ErrorKind::kTimeout && !streams_.empty()) ++counters_.timeouts;
}

void ServerConnection::run(int fd, TlsContextPtr context) {
  static nghttp2_session_callbacks* const kCallbacks = Callbacks::make();
  auto socket = TlsSocket::accept(fd, std::move(context), now() + options_.handshake);
  if (!socket) {
    ++counters_.handshake_failures;
    return;
  }
  budget_at_ = now();
  mark_idle();
  session_ = make_session({.server = true,
                           .streams = options_.max_streams,
                           .header_list = options_.max_headers,
                           .stream_window = std::max<size_t>(65'535, options_.max_message + kFramePrefix)},
                          kCallbacks, this);
  auto served = serve(*socket);
  if (!served) count(served.error());
  // A last word (GOAWAY) where the peer still reads; it is not waited for.
  const auto code = served ? NGHTTP2_NO_ERROR : NGHTTP2_ENHANCE_YOUR_CALM;
  (void)nghttp2_session_terminate_session(session_.get(), code);
  (void)flush(*session_, *socket, now() + base::Millis(100));
  socket->close();
}

}  // namespace weft::grpc
