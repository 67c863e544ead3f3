#pragma once
#include "userspace-proxy/http/client_session.h"
#include "userspace-proxy/http/exchange.h"
#include "userspace-proxy/http/h2_session.h"

namespace weft::http {

class H2ClientSession;

// One request on a connection to a destination that speaks HTTP/2. Owned by its session.
class H2ClientStream final : public H2Stream, public DestinationStream {
 public:
  H2ClientStream(Core& core, H2ClientSession& session) : H2Stream(core), core_(core), client_(session) {}

  void open(Exchange& exchange);
  // The session is gone, or this stream could not be opened.
  void failed(observe::Flag flag, std::string_view details, bool untouched);
  size_t place = 0;

  // DestinationStream
  void send_head(const RequestHead& head, std::string_view target, std::span<const Extra> extras) override;
  void send_body(std::string_view bytes) override { queue_body(bytes); }
  void send_end(const Fields* trailers) override;
  [[nodiscard]] bool congested() const override { return output_congested(); }
  void resume() override;
  void cancel() override;
  [[nodiscard]] base::SocketAddress local() const override;

 private:
  [[nodiscard]] bool wants_input() const override {
    return exchange_ != nullptr && exchange_->wants_response();
  }
  void take_body(std::string_view bytes) override { exchange_->on_response_body(bytes); }
  void take_end(const Fields* trailers) override;
  void take_head(bool end_stream) override;
  void add_field(std::string_view name, std::string_view value) override;
  void output_drained() override;
  void output_ended() override {}
  void stream_closed(uint32_t error_code) override;
  [[nodiscard]] Body body_of(bool end_stream);
  [[nodiscard]] Exchange* let_go();
  void reset(uint32_t error_code);

  Core& core_;
  H2ClientSession& client_;
  Exchange* exchange_ = nullptr;
  ResponseHead head_;
  bool head_request_ = false;
};

// A connection to a destination that speaks HTTP/2: many requests at once.
class H2ClientSession final : public ClientSession, public H2Session {
 public:
  H2ClientSession(Core& core, PoolEntry& entry, std::unique_ptr<base::Transport> transport);
  ~H2ClientSession() override;

  void open(Exchange& exchange);

  // ClientSession, Session, TransportHandler
  [[nodiscard]] bool unused() const override { return streams_.empty(); }
  void close() override;
  void flush() override {}
  void work() override;
  void on_readable() override;
  void on_writable() override { transport_writable(); }

 private:
  friend class H2ClientStream;
  using ClientSession::core_;
  base::Transport& transport() override { return *transport_; }
  H2Stream* open_stream(int32_t) override { return nullptr; }  // nobody may push
  void go_away(int32_t last_stream) override;
  void settings_changed() override { update_capacity(); }
  void end() override;
  void update_capacity();
  void release(H2ClientStream& stream);

  base::SocketAddress local_;
  std::vector<std::unique_ptr<H2ClientStream>> streams_;
  std::vector<H2ClientStream*> unopened_;  // refused by nghttp2 when they were to be opened
  uint32_t requests_ = 0;
  bool going_away_ = false;
};

}  // namespace weft::http
