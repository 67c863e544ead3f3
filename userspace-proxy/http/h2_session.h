#pragma once
// What both kinds of HTTP/2 session share: nghttp2 with our limits, bounded output, bodies with real
// back-pressure. The one door to nghttp2.
#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/h2/flood_guard.h"
#include "userspace-proxy/http/core.h"
#include "userspace-proxy/http/stream.h"
#include "userspace-proxy/http/wire.h"

namespace weft::http {

class H2Session;

// Both bodies of one stream. Outgoing bytes wait here until the peer's windows let them go; incoming ones
// only while the exchange does not take them, and the peer's window opens no further until it does.
class H2Stream : public base::Retirable {
 public:
  explicit H2Stream(Core& core)
      : arena_(core.head_blocks), limits_(core.limits), out_(core.queue_blocks), held_(core.queue_blocks) {}
  [[nodiscard]] int32_t id() const { return id_; }

 protected:
  friend class H2Session;
  // The exchange takes incoming body now.
  [[nodiscard]] virtual bool wants_input() const = 0;
  virtual void take_body(std::string_view bytes) = 0;
  virtual void take_end(const Fields* trailers) = 0;
  // A header block is complete.
  virtual void take_head(bool end_stream) = 0;
  virtual void add_field(std::string_view name, std::string_view value) = 0;
  // Counts a field against the limits of a head. False: too much, drop it.
  [[nodiscard]] bool charge_field(std::string_view name, std::string_view value);
  [[nodiscard]] Field make_field(std::string_view name, std::string_view value);
  virtual void output_drained() = 0;
  virtual void output_ended() = 0;  // END_STREAM has left nghttp2
  virtual void stream_closed(uint32_t error_code) = 0;

  void attach(H2Session& session, int32_t id);
  void detach();
  void queue_body(std::string_view bytes);
  void queue_end(const Fields* trailers);
  [[nodiscard]] bool output_congested() const;
  // Feeds nghttp2 with what queue_body() brings.
  [[nodiscard]] nghttp2_data_provider provider();

  H2Session* session_ = nullptr;
  int32_t id_ = 0;
  Arena arena_;  // heads and trailers of this stream
  const Limits& limits_;
  Queue out_, held_;
  Fields out_trailers_, in_trailers_;
  size_t head_bytes_ = 0, head_fields_ = 0;
  bool too_large_ = false;
  bool out_ended_ = false;      // nothing is added to `out_` any more
  bool out_congested_ = false;  // told the exchange so
  bool deferred_ = false;       // nghttp2 waits for resume_data()
  bool in_ended_ = false;       // END_STREAM came
  bool in_end_taken_ = false;
  bool head_taken_ = false;  // a header block that follows holds trailers
  bool closed_ = false;      // nghttp2 has forgotten it; held bytes are still to be taken
};

// Owns the nghttp2 session. Derived classes own the streams. Output leaves at the end of the loop turn, so
// that one write carries what many streams had to say.
class H2Session : public base::TurnEndHandler {
 public:
  H2Session(Core& core, bool server);
  ~H2Session() override;

  // Output is queued in nghttp2: write it at the end of this loop turn.
  void write_later();
  void input_wanted(H2Stream& stream);

 protected:
  friend class H2Stream;
  virtual base::Transport& transport() = 0;
  virtual H2Stream* open_stream(int32_t id) = 0;  // server: a source begins a stream; null refuses it
  virtual void go_away(int32_t last_stream) = 0;  // the peer takes no new streams
  virtual void settings_changed() = 0;
  virtual void end() = 0;  // the session is over

  // False when the connection cannot go on; what nghttp2 has to say about it is written first.
  [[nodiscard]] bool feed(std::string_view bytes);
  // Reads until there is nothing, or for a while: then `*more` is set. False: the connection cannot go on.
  [[nodiscard]] bool read_all(bool* more);
  void write_out();
  void on_turn_end() override;
  void transport_writable();
  // Streams for which input_wanted() was called.
  void deliver_held();
  void forget(H2Stream& stream);
  [[nodiscard]] H2Stream* stream_of(int32_t id) const {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_.get(), id));
  }
  // A header list for nghttp2, valid until the next call.
  void list_clear() { list_.clear(); }
  void list_add(std::string_view name, std::string_view value);
  void list_add_fields(const Fields& fields, bool keep_length, Arena& arena);

  struct Delete {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  Core& core_;
  std::unique_ptr<nghttp2_session, Delete> session_;
  Outlet outlet_;
  std::vector<nghttp2_nv> list_;
  bool over_ = false;
  bool writing_ = false;

 private:
  struct Callbacks;
  friend struct Callbacks;
  void submit_settings(bool server);
  void deliver(H2Stream& stream);
  // False: the peer keeps us busy with frames that carry nothing.
  [[nodiscard]] bool charge_control_frame();

  std::vector<H2Stream*> wanting_, drained_;
  bool write_asked_ = false;
  h2::Bucket control_;
};

}  // namespace weft::http
