#pragma once
#include "userspace-proxy/http/client_session.h"
#include "userspace-proxy/http/exchange.h"
#include "userspace-proxy/http/h1_parser.h"
#include "userspace-proxy/http/wire.h"

namespace weft::http {

// A connection to a destination that speaks HTTP/1.1: one request after the other, or a tunnel at the end.
class H1ClientSession final : public ClientSession, public DestinationStream {
 public:
  H1ClientSession(Core& core, PoolEntry& entry, std::unique_ptr<base::Transport> transport);

  enum class Step : uint8_t { kIdle, kHead, kBody, kTunnel, kClosing, kClosed };

  // Takes the next request. REQUIRES: idle.
  void assign(Exchange& exchange);
  [[nodiscard]] bool unused() const override { return step_ == Step::kIdle; }
  void close() override;

  // DestinationStream
  void send_head(const RequestHead& head, std::string_view target, std::span<const Extra> extras) override;
  void send_body(std::string_view bytes) override;
  void send_end(const Fields* trailers) override;
  [[nodiscard]] bool congested() const override { return outlet_.blocked(); }
  void resume() override { core_.work_later(*this); }
  void cancel() override;
  [[nodiscard]] base::SocketAddress local() const override { return local_; }

  // Session, TransportHandler
  void flush() override;
  void work() override;
  void on_readable() override;
  void on_writable() override;

 private:
  template <typename H1Session>
  friend void take_turn(H1Session& session, Core& core, base::Transport& input);

  void enter(Step next);
  [[nodiscard]] bool wants_read() const;
  [[nodiscard]] bool parse();
  [[nodiscard]] bool parse_head();
  [[nodiscard]] bool parse_body();
  void end_response(const Fields* trailers);
  void input_ended(const base::Io& io);
  void fail(observe::Flag flag, std::string_view details, uint16_t status);
  [[nodiscard]] Exchange* let_go();

  Step step_ = Step::kIdle;
  Exchange* exchange_ = nullptr;
  H1Parser parser_;
  Intake intake_;
  Outlet outlet_;
  base::SocketAddress local_;
  uint64_t written_before_ = 0;  // this request
  uint32_t requests_ = 0;
  bool chunked_ = false;       // the request body goes out in chunks
  bool request_sent_ = false;  // the whole request is written or queued
  bool reusable_ = true;
  bool upgrade_asked_ = false;
};

}  // namespace weft::http
