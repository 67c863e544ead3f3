#include "userspace-proxy/http/h2_session.h"

#include <algorithm>

namespace weft::http {
namespace {

// Output held for a slow peer; beyond it nghttp2 is not asked for more.
constexpr size_t kOutputHigh = 64 * 1024;

constexpr int kMaxReads = 16;  // in one go; then others have their turn

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

struct OptionDelete {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

std::string_view view_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

// C callbacks of nghttp2; `user` is the H2Session.
struct H2Session::Callbacks {
  static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    H2Stream* const stream = self(user).open_stream(frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    H2Stream* const stream = self(user).stream_of(frame->hd.stream_id);
    if (stream == nullptr || frame->hd.type != NGHTTP2_HEADERS) return 0;
    const auto value_view = view_of(value, value_size);
    // nghttp2 looks for these too; they would be a second request on an HTTP/1 connection, so we look again.
    if (std::ranges::any_of(value_view, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }))
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->add_field(view_of(name, name_size), value_view);
    return 0;
  }

  // A field that breaks the rules would be left out silently: reset the stream instead.
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*,
                            size_t, uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Session& me = self(user);
    if (h2::carries_nothing(*frame) && !me.charge_control_frame()) return NGHTTP2_ERR_CALLBACK_FAILURE;
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_GOAWAY) me.go_away(frame->goaway.last_stream_id);
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
      me.settings_changed();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    H2Stream* const stream = me.stream_of(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_taken_) {
      stream->take_head(ends);
      return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && stream->too_large_) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->in_ended_ |= ends;
    if (stream->in_ended_) me.deliver(*stream);
    return 0;
  }

  static int data_chunk(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                        void* user) {
    H2Session& me = self(user);
    H2Stream* const stream = me.stream_of(id);
    if (stream != nullptr && stream->held_.empty() && stream->wants_input()) {
      stream->take_body(view_of(data, size));
    } else if (stream != nullptr && !stream->in_end_taken_) {
      stream->held_.append(view_of(data, size));
      return 0;
    }
    nghttp2_session_consume(session, id, size);
    me.write_later();
    return 0;
  }

  static int stream_close(nghttp2_session* session, int32_t id, uint32_t error_code, void* user) {
    H2Session& me = self(user);
    H2Stream* const stream = me.stream_of(id);
    if (stream == nullptr) return 0;
    // What is held reaches somebody later or never; the connection's window is everybody's.
    if (!stream->held_.empty()) nghttp2_session_consume_connection(session, stream->held_.size());
    nghttp2_session_set_stream_user_data(session, id, nullptr);
    me.forget(*stream);
    stream->stream_closed(error_code);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* session, int32_t id, uint8_t*, size_t room, uint32_t* flags,
                           nghttp2_data_source* source, void* user) {
    auto& stream = *static_cast<H2Stream*>(source->ptr);
    const size_t size = std::min(room, stream.out_.size());
    if (size == 0 && !stream.out_ended_) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size < stream.out_.size() || !stream.out_ended_) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.out_trailers_.empty()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    H2Session& me = self(user);
    me.list_clear();
    for (const auto& field : stream.out_trailers_) me.list_add(field.name, field.value);
    nghttp2_submit_trailer(session, id, me.list_.data(), me.list_.size());
    return static_cast<ssize_t>(size);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t size,
                       nghttp2_data_source* source, void* user) {
    H2Session& me = self(user);
    if (me.outlet_.blocked() || me.outlet_.queue().size() >= kOutputHigh) return NGHTTP2_ERR_WOULDBLOCK;
    auto& stream = *static_cast<H2Stream*>(source->ptr);
    me.outlet_.queue().append(view_of(frame_head, 9));
    me.outlet_.queue().append(stream.out_.view().substr(0, size));
    stream.out_.consume(size);
    if (stream.out_congested_ && stream.out_.size() <= me.core_.limits.stream_buffer / 2) {
      stream.out_congested_ = false;
      me.drained_.push_back(&stream);
    }
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (H2Stream* const stream = self(user).stream_of(frame->hd.stream_id)) stream->output_ended();
    return 0;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* list;
    CHECK(nghttp2_session_callbacks_new(&list) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(list, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(list, header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(list, invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(list, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(list, data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(list, frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(list, stream_close);
    nghttp2_session_callbacks_set_send_data_callback(list, send_data);
    return list;
  }
};

void H2Stream::attach(H2Session& session, int32_t id) {
  session_ = &session;
  id_ = id;
}

void H2Stream::detach() {
  session_ = nullptr;
  out_.clear();
  held_.clear();
  out_trailers_.clear();
  in_trailers_.clear();
  arena_.reset();
  head_bytes_ = head_fields_ = 0;
  too_large_ = out_ended_ = out_congested_ = deferred_ = in_ended_ = in_end_taken_ = head_taken_ = closed_ =
      false;
}

void H2Stream::queue_body(std::string_view bytes) {
  if (session_ == nullptr) return;
  out_.append(bytes);
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_->session_.get(), id_);
  session_->write_later();
}

void H2Stream::queue_end(const Fields* trailers) {
  if (session_ == nullptr) return;
  out_ended_ = true;
  if (trailers != nullptr) {
    for (const auto& field : *trailers) {
      if (field.dropped) continue;
      auto copy = make_field(field.name, field.value);
      std::ranges::transform(copy.name, const_cast<char*>(copy.name.data()), to_lower);
      out_trailers_.push_back(copy);
    }
  }
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_->session_.get(), id_);
  session_->write_later();
}

nghttp2_data_provider H2Stream::provider() {
  return {.source = {.ptr = this}, .read_callback = H2Session::Callbacks::read_body};
}

bool H2Stream::output_congested() const {
  return session_ != nullptr && out_.size() >= session_->core_.limits.stream_buffer;
}

bool H2Stream::charge_field(std::string_view name, std::string_view value) {
  head_bytes_ += name.size() + value.size() + 4;
  too_large_ |= head_bytes_ > limits_.head_bytes || ++head_fields_ > limits_.head_fields + 4;
  return !too_large_;
}

Field H2Stream::make_field(std::string_view name, std::string_view value) {
  return {.name = arena_.copy(name), .value = arena_.copy(value), .line = {}, .known = classify(name)};
}

H2Session::H2Session(Core& core, bool server)
    : core_(core),
      outlet_(core.queue_blocks),
      control_(core.limits.h2_control_burst, core.limits.h2_control_per_second, core.loop.turn_time()) {
  static nghttp2_session_callbacks* const kCallbacks = Callbacks::make();
  nghttp2_option* raw;
  CHECK(nghttp2_option_new(&raw) == 0);
  const std::unique_ptr<nghttp2_option, OptionDelete> option(raw);
  nghttp2_option_set_no_auto_window_update(raw, 1);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_settings(raw, 32);
  nghttp2_option_set_max_continuations(raw, 8);
  nghttp2_option_set_max_outbound_ack(raw, 500);
  nghttp2_option_set_max_send_header_block_length(raw, core.limits.head_bytes + 4096);
  nghttp2_option_set_max_deflate_dynamic_table_size(raw, 4096);
  nghttp2_option_set_stream_reset_rate_limit(raw, 500, 33);
  nghttp2_option_set_peer_max_concurrent_streams(raw, core.limits.h2_streams);
  nghttp2_session* session = nullptr;
  const int rv = server ? nghttp2_session_server_new2(&session, kCallbacks, this, raw)
                        : nghttp2_session_client_new2(&session, kCallbacks, this, raw);
  CHECK(rv == 0);
  session_.reset(session);
  submit_settings(server);
}

H2Session::~H2Session() = default;

void H2Session::submit_settings(bool server) {
  const auto& limits = core_.limits;
  const nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.h2_stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head_bytes)},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server ? limits.h2_streams : 0},
      // A server takes WebSockets (RFC 8441); a client takes no push, and a server may not even speak of it.
      {server ? NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL : NGHTTP2_SETTINGS_ENABLE_PUSH, server ? 1u : 0u},
  };
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, entries, std::size(entries));
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.h2_connection_window));
}

bool H2Session::charge_control_frame() {
  if (control_.take(core_.loop.turn_time())) return true;
  ++core_.counters().http2_floods;
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
  return false;
}

void H2Session::write_later() {
  if (std::exchange(write_asked_, true)) return;
  core_.loop.at_turn_end(this);
}

void H2Session::on_turn_end() {
  write_asked_ = false;
  if (over_) return;
  Turn turn(core_);
  write_out();
}

void H2Session::write_out() {
  if (writing_) return write_later();
  writing_ = true;
  for (;;) {
    const uint8_t* data = nullptr;
    const bool room = !outlet_.blocked() && outlet_.queue().size() < kOutputHigh;
    const ssize_t size = room ? nghttp2_session_mem_send(session_.get(), &data) : 0;
    if (size < 0) {
      writing_ = false;
      return end();
    }
    if (size > 0) {
      outlet_.queue().append(view_of(data, static_cast<size_t>(size)));
      continue;
    }
    // Nothing more, or the bound is reached: then there may be more when this much is out.
    const bool bounded = outlet_.queue().size() >= kOutputHigh;
    if (!outlet_.flush(transport()) || !bounded) break;
  }
  writing_ = false;
  if (outlet_.dead()) return end();
  for (H2Stream* stream : std::exchange(drained_, {}))
    if (stream != nullptr) stream->output_drained();
  if (!over_ && outlet_.empty() && nghttp2_session_want_read(session_.get()) == 0 &&
      nghttp2_session_want_write(session_.get()) == 0)
    end();
}

void H2Session::transport_writable() {
  if (!outlet_.blocked() || over_) return;
  outlet_.unblock();
  write_later();
}

bool H2Session::feed(std::string_view bytes) {
  const ssize_t used =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (over_) return false;
  write_later();
  if (used == static_cast<ssize_t>(bytes.size())) return true;
  // nghttp2 has queued its GOAWAY where the protocol asks for one.
  if (used != NGHTTP2_ERR_CALLBACK_FAILURE) ++core_.counters().http2_protocol_errors;
  write_out();
  return false;
}

bool H2Session::read_all(bool* more) {
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const auto io = transport().read(core_.read_block);
    if (io.kind == base::Io::Kind::kWouldBlock) return !outlet_.dead();
    if (io.kind != base::Io::Kind::kBytes || !feed({core_.read_block.data(), io.bytes})) return false;
  }
  *more = true;
  return true;
}

void H2Session::input_wanted(H2Stream& stream) {
  if (std::ranges::find(wanting_, &stream) == wanting_.end()) wanting_.push_back(&stream);
}

void H2Session::deliver_held() {
  for (H2Stream* stream : std::exchange(wanting_, {})) {
    if (stream != nullptr && !over_) deliver(*stream);
  }
}

void H2Session::deliver(H2Stream& stream) {
  while (!stream.held_.empty() && stream.wants_input()) {
    const auto bytes = stream.held_.view().substr(0, 16 * 1024);
    stream.take_body(bytes);
    if (stream.session_ != this) return;
    if (!stream.closed_) nghttp2_session_consume(session_.get(), stream.id_, bytes.size());
    stream.held_.consume(bytes.size());
    write_later();
  }
  if (!stream.held_.empty() || !stream.in_ended_ || stream.in_end_taken_ || !stream.wants_input()) return;
  stream.in_end_taken_ = true;
  stream.take_end(stream.in_trailers_.empty() ? nullptr : &stream.in_trailers_);
}

void H2Session::forget(H2Stream& stream) {
  std::ranges::replace(wanting_, &stream, nullptr);
  std::ranges::replace(drained_, &stream, nullptr);
}

void H2Session::list_add(std::string_view name, std::string_view value) {
  list_.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                   reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                   NGHTTP2_NV_FLAG_NONE});
}

void H2Session::list_add_fields(const Fields& fields, bool keep_length, Arena& arena) {
  for (const auto& field : fields) {
    if (field.dropped) continue;
    switch (field.known) {
      case Known::kConnection:
      case Known::kKeepAlive:
      case Known::kProxyConnection:
      case Known::kTransferEncoding:
      case Known::kUpgrade:
      case Known::kTe:
      case Known::kHost:
      case Known::kHttp2Settings:
        continue;
      case Known::kContentLength:
        if (!keep_length) continue;
        break;
      default:
        break;
    }
    auto name = field.name;
    if (std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) {
      char* const lower = arena.allocate(name.size());
      std::ranges::transform(name, lower, to_lower);
      name = {lower, name.size()};
    }
    list_add(name, field.value);
  }
}

}  // namespace weft::http
