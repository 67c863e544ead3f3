#pragma once
#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/http/exchange.h"
#include "userspace-proxy/http/h2_session.h"
#include "userspace-proxy/http/server_session.h"

namespace weft::http {

class H2ServerSession;

// One request on an accepted HTTP/2 connection. Owned by its session while nghttp2 knows it, then by the
// worker's store of free ones.
class H2ServerStream final : public H2Stream, public SourceStream {
 public:
  explicit H2ServerStream(Core& core) : H2Stream(core), core_(core), exchange_(core) {}

  void begin(H2ServerSession& session, int32_t id);
  // Its session ends or the peer reset it.
  void gone(observe::Flag flag, std::string_view details);
  size_t place = 0;  // in the session's list

  // SourceStream
  void send_informational(const ResponseHead& head) override;
  void send_head(const ResponseHead& head, std::span<const Extra> extras) override;
  void send_body(std::string_view bytes) override { queue_body(bytes); }
  void send_end(const Fields* trailers) override;
  [[nodiscard]] bool congested() const override { return output_congested(); }
  void resume() override;
  void abort() override;
  void exchange_over() override {}  // the stream closes when the response is out

 private:
  [[nodiscard]] bool wants_input() const override { return exchange_.wants_request_body(); }
  void take_body(std::string_view bytes) override { exchange_.on_request_body(bytes); }
  void take_end(const Fields* trailers) override { exchange_.on_request_end(trailers); }
  void take_head(bool end_stream) override;
  void add_field(std::string_view name, std::string_view value) override;
  void add_pseudo(std::string_view name, std::string_view value);
  void output_drained() override { exchange_.on_source_writable(); }
  void output_ended() override;
  void stream_closed(uint32_t error_code) override;
  [[nodiscard]] std::string_view check_head(RequestHead& head);
  void join_cookies(Fields& fields);
  void become_websocket(RequestHead& head);
  [[nodiscard]] std::string_view number_text(uint64_t number);
  void note_fields(RequestHead& head);

  Core& core_;
  Exchange exchange_;
  H2ServerSession* server_ = nullptr;
  std::string_view host_, protocol_;  // Host field; :protocol of an extended CONNECT
};

// An accepted connection that speaks HTTP/2 in clear text, with prior knowledge.
class H2ServerSession final : public ServerSession, public H2Session {
 public:
  H2ServerSession(Core& core, ServerHost& host);
  ~H2ServerSession() override;

  // The bytes that gave the protocol away.
  void start(std::string_view bytes);

  void flush() override {}
  void work() override;
  void on_writable() override { transport_writable(); }
  void drain(base::Nanos patience) override;
  void abort(observe::Flag flag) override;

 private:
  friend class H2ServerStream;
  base::Transport& transport() override { return host_.transport(); }
  H2Stream* open_stream(int32_t id) override;
  void go_away(int32_t) override {}
  void settings_changed() override {}
  void end() override { close(observe::Flag::kSourceClosed); }
  void release(H2ServerStream& stream);
  void close(observe::Flag flag);
  void name_last_stream();
  void check_time();

  ServerHost& host_;
  base::Timer timer_;
  base::Instant since_;      // of the last stream that came or went
  uint32_t open_heads_ = 0;  // streams whose head has not ended
  bool warned_ = false;      // of the GOAWAY that names the last stream
  std::vector<std::unique_ptr<H2ServerStream>> streams_;
};

}  // namespace weft::http
