#pragma once
// A hand-driven HTTP/2 peer on the far end of a pair: a client of the proxy, or a destination.
#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/transport_pair.h"

namespace weft::http {

class H2Peer {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  struct Stream {
    Headers headers, trailers;
    std::vector<std::string> informational;  // statuses
    std::string body;
    bool head_done = false, ended = false, closed = false;
    uint32_t error = 0;
    std::string to_send;  // body
    bool finished = false;
    Headers send_trailers;
    [[nodiscard]] std::string get(std::string_view name) const {
      for (const auto& [key, value] : headers)
        if (key == name) return value;
      return {};
    }
    [[nodiscard]] std::string status() const { return get(":status"); }
  };

  H2Peer(test::PairEnd& end, bool server, bool manual_windows = false,
         std::vector<nghttp2_settings_entry> settings = {})
      : end_(end) {
    nghttp2_session_callbacks* list;
    nghttp2_session_callbacks_new(&list);
    nghttp2_session_callbacks_set_on_header_callback(list, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(list, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(list, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(list, on_close);
    nghttp2_option* option;
    nghttp2_option_new(&option);
    if (manual_windows) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);  // tests may break the rules
    if (server)
      nghttp2_session_server_new2(&session_, list, this, option);
    else
      nghttp2_session_client_new2(&session_, list, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(list);
    nghttp2_submit_settings(session_, 0, settings.data(), settings.size());
  }
  ~H2Peer() { nghttp2_session_del(session_); }
  H2Peer(const H2Peer&) = delete;
  H2Peer& operator=(const H2Peer&) = delete;

  // Moves bytes both ways until neither side has more to say. `turn` lets the proxy work.
  template <typename Turn>
  void run(Turn&& turn) {
    for (int i = 0; i < 6; ++i) {
      pump();
      turn();
    }
    pump();
  }
  void pump() {
    const auto bytes = end_.take();
    if (!bytes.empty() &&
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) < 0)
      broken = true;
    const uint8_t* data;
    while (end_.unread() < 100'000) {
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size <= 0 || end_.at_end()) break;
      end_.send({reinterpret_cast<const char*>(data), static_cast<size_t>(size)});
    }
  }

  // Client: opens a stream. With `body`, `finish` says whether that is all of it.
  int32_t request(const Headers& extra = {}, const char* body = nullptr, bool finish = true,
                  std::string method = "GET", std::string path = "/a") {
    Headers headers = {{":method", method}, {":scheme", "http"}, {":authority", "svc"}, {":path", path}};
    headers.insert(headers.end(), extra.begin(), extra.end());
    return submit(headers, body, finish);
  }
  int32_t submit(const Headers& headers, const char* body = nullptr, bool finish = true) {
    auto list = nvs(headers);
    const int32_t next = nghttp2_session_get_next_stream_id(session_);
    auto& stream = streams[next];
    nghttp2_data_provider provider = provide(stream);
    if (body != nullptr) stream.to_send = body;
    stream.finished = finish;
    return nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                                  body == nullptr ? nullptr : &provider, nullptr);
  }
  // Server: answers.
  void respond(int32_t id, const Headers& headers, const char* body = nullptr, bool finish = true) {
    auto list = nvs(headers);
    auto& stream = streams[id];
    nghttp2_data_provider provider = provide(stream);
    if (body != nullptr) stream.to_send = body;
    stream.finished = finish;
    nghttp2_submit_response(session_, id, list.data(), list.size(), body == nullptr ? nullptr : &provider);
  }
  void more(int32_t id, std::string_view bytes, bool finish, Headers trailers = {}) {
    auto& stream = streams[id];
    stream.to_send += bytes;
    stream.finished = finish;
    stream.send_trailers = std::move(trailers);
    nghttp2_session_resume_data(session_, id);
  }
  void reset(int32_t id, uint32_t code) { nghttp2_submit_rst_stream(session_, 0, id, code); }
  static std::vector<nghttp2_nv> nvs(const Headers& headers) {
    std::vector<nghttp2_nv> out;
    for (const auto& [name, value] : headers)
      out.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                     0});
    return out;
  }
  [[nodiscard]] nghttp2_session* raw() { return session_; }

  std::map<int32_t, Stream> streams;
  bool broken = false;
  bool went_away = false;
  uint32_t goaway_code = 0;

 private:
  static H2Peer& self(void* user) { return *static_cast<H2Peer*>(user); }
  static nghttp2_data_provider provide(Stream& stream) {
    return {.source = {.ptr = &stream}, .read_callback = read};
  }
  static ssize_t read(nghttp2_session* session, int32_t id, uint8_t* out, size_t room, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    const size_t size = std::min(room, stream.to_send.size());
    stream.to_send.copy(reinterpret_cast<char*>(out), size);
    stream.to_send.erase(0, size);
    if (stream.to_send.empty() && stream.finished) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream.send_trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        auto list = nvs(stream.send_trailers);
        nghttp2_submit_trailer(session, id, list.data(), list.size());
      }
    } else if (size == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(size);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    auto& stream = self(user).streams[frame->hd.stream_id];
    const std::string key(reinterpret_cast<const char*>(name), name_size),
        text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status" && text[0] == '1') {
      stream.informational.push_back(text);
      return 0;
    }
    (stream.head_done ? stream.trailers : stream.headers).emplace_back(key, text);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Peer& me = self(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) me.went_away = true, me.goaway_code = frame->goaway.error_code;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    auto& stream = me.streams[frame->hd.stream_id];
    if (frame->hd.type == NGHTTP2_HEADERS) stream.head_done = !stream.headers.empty();
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream.ended = true;
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    self(user).streams[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    auto& stream = self(user).streams[id];
    stream.closed = true;
    stream.error = error;
    return 0;
  }

  test::PairEnd& end_;
  nghttp2_session* session_ = nullptr;
};

}  // namespace weft::http
