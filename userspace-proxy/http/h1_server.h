#pragma once
#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/http/exchange.h"
#include "userspace-proxy/http/h1_parser.h"
#include "userspace-proxy/http/server_session.h"
#include "userspace-proxy/http/wire.h"

namespace weft::http {

// An accepted connection that speaks HTTP/1.x: one request after the other; what a client sends ahead waits.
class H1ServerSession final : public ServerSession, public SourceStream {
 public:
  H1ServerSession(Core& core, ServerHost& host);

  enum class Step : uint8_t { kHead, kBody, kReply, kTunnel, kDiscard, kClosing, kLinger, kClosed };

  // ServerSession
  void flush() override;
  void work() override;
  void on_writable() override;
  void drain(base::Nanos patience) override;
  void abort(observe::Flag flag) override;

  // SourceStream
  void send_informational(const ResponseHead& head) override;
  void send_head(const ResponseHead& head, std::span<const Extra> extras) override;
  void send_body(std::string_view bytes) override;
  void send_end(const Fields* trailers) override;
  [[nodiscard]] bool congested() const override { return outlet_.blocked(); }
  void resume() override { core_.work_later(*this); }
  void abort() override { aborted_ = true; }
  void exchange_over() override;

 private:
  template <typename H1Session>
  friend void take_turn(H1Session& session, Core& core, base::Transport& input);

  void enter(Step next);
  [[nodiscard]] bool wants_read() const;
  [[nodiscard]] bool parse();
  [[nodiscard]] bool parse_head();
  [[nodiscard]] bool parse_body();
  [[nodiscard]] bool discard();
  // True: not HTTP/1 (decided), or too few bytes to tell.
  [[nodiscard]] bool is_preface();
  void begin(std::string_view bytes);
  void refuse(const H1Error& error);
  void next_request();
  void input_ended(const base::Io& io);
  void finish_closing();
  void close();
  void check_time();
  // What is left of the request is small enough to be read and thrown away, so that the connection may live
  // on.
  [[nodiscard]] bool discardable() const;

  Core& core_;
  ServerHost& host_;
  Exchange exchange_;
  H1Parser parser_;
  Intake intake_;
  Outlet outlet_;
  base::Timer timer_;

  Step step_ = Step::kHead;
  Version version_ = Version::kHttp11;
  bool keep_alive_ = true;
  bool draining_ = false;
  bool aborted_ = false;
  bool head_request_ = false;      // HEAD: the response has no body
  bool expects_continue_ = false;  // and has not been told to go on
  bool chunked_ = false;           // the response body goes out in chunks
  bool response_ended_ = false;    // tunnel: the destination is done
  bool first_ = true;              // no request has been read yet
  bool head_begun_ = false;        // part of a head has come
  uint64_t body_left_ = 0;         // of a request body with a length; UINT64_MAX for chunks
  base::Instant since_;            // of the idle time, the head or the body that is thrown away
};

}  // namespace weft::http
