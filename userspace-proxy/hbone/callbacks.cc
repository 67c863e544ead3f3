#include "userspace-proxy/hbone/callbacks.h"

#include <algorithm>
#include <cstring>

#include "userspace-proxy/hbone/session.h"

namespace weft::hbone {
namespace {

std::string_view view_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

// Nobody outside is called from in here: events are noted and told by Session::settle().
struct Callbacks {
  static Session& self(void* user) { return *static_cast<Session*>(user); }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    self(user).begin_request(frame->hd.stream_id);
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Session& me = self(user);
    if (Stream* const stream = me.stream_of(frame->hd.stream_id))
      stream->add_field(view_of(name, name_size), view_of(value, value_size), me.head_limit());
    return 0;
  }

  // A field that breaks the rules would be left out silently: reset the stream instead.
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*,
                            size_t, uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    if (!me.charge(*frame)) return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (frame->hd.type) {
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) me.on_peer_settings();
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) me.on_pong(frame->ping.opaque_data);
        return 0;
      case NGHTTP2_GOAWAY:
        me.on_peer_goaway();
        return 0;
      case NGHTTP2_HEADERS:
        return head_received(session, me, *frame);
      case NGHTTP2_DATA:
        break;
      default:
        return 0;
    }
    Stream* const stream = me.stream_of(frame->hd.stream_id);
    if (stream != nullptr && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      stream->in_ended_ = true;
      me.mark(*stream, Stream::kReadable);
    }
    return 0;
  }

  static int head_received(nghttp2_session* session, Session& me, const nghttp2_frame& frame) {
    Stream* const stream = me.stream_of(frame.hd.stream_id);
    if (stream == nullptr) return 0;
    const bool ends = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (stream->head_done_) {
      // RFC 9113 8.5: behind the head of a CONNECT only DATA comes.
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
      return 0;
    }
    if (me.role_ == Role::kClient && stream->head_->status < 200 && !ends) {
      *stream->head_ = {};
      return 0;
    }
    stream->head_done_ = true;
    stream->in_ended_ = ends;
    me.mark(*stream, Stream::kHeadDone);
    return 0;
  }

  static int data_chunk(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                        void* user) {
    Session& me = self(user);
    Stream* const stream = me.stream_of(id);
    if (stream != nullptr) {
      stream->add_data(view_of(data, size));
      return 0;
    }
    // Of a stream that was refused or reset: nobody reads it, and the peer should stop.
    nghttp2_session_consume(session, id, size);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int stream_close(nghttp2_session*, int32_t id, uint32_t error_code, void* user) {
    Session& me = self(user);
    Stream* const stream = me.stream_of(id);
    me.stream_forgotten();
    if (stream != nullptr) stream->on_closed(error_code);
    return 0;
  }

  static ssize_t read_data(nghttp2_session*, int32_t id, uint8_t*, size_t room, uint32_t* flags,
                           nghttp2_data_source*, void* user) {
    Stream* const stream = self(user).stream_of(id);
    if (stream != nullptr) return stream->produce(room, flags);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_COPY;
    return 0;
  }

  // Of a DATA frame, before the windows narrow it.
  static ssize_t most_data(nghttp2_session*, uint8_t, int32_t, int32_t, int32_t, uint32_t peers_frame_size, void*) {
    return static_cast<ssize_t>(std::min<size_t>(OutBlock::kHigh - kFrameHead, peers_frame_size));
  }

  static int send_data(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_head, size_t size,
                       nghttp2_data_source*, void* user) {
    Session& me = self(user);
    char* const to = me.out_room(kFrameHead + size);
    std::memcpy(to, frame_head, kFrameHead);
    if (size > 0) me.stream_of(frame->hd.stream_id)->copy_out(to + kFrameHead, size);
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).on_goaway_sent(frame->goaway.error_code);
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
    nghttp2_session_callbacks_set_data_source_read_length_callback(list, most_data);
    return list;
  }
};

nghttp2_session_callbacks* session_callbacks() {
  static nghttp2_session_callbacks* const kList = Callbacks::make();
  return kList;
}

nghttp2_data_provider data_provider() {
  return {.source = {.ptr = nullptr}, .read_callback = Callbacks::read_data};
}

}  // namespace weft::hbone
