#pragma once
// The two ends of an exchange, as it sees them. A session (one connection) stands behind each; HTTP/1
// sessions carry one stream at a time, HTTP/2 sessions many. Calls in this direction never call back into the
// exchange before they return, save where it is said.
#include <span>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/http/h1_write.h"
#include "userspace-proxy/http/message.h"

namespace weft::http {

// Where the request came from and the response goes.
class SourceStream {
 public:
  virtual ~SourceStream() = default;
  // 1xx other than 101.
  virtual void send_informational(const ResponseHead& head) = 0;
  // `head.body` says how the body will come; kTunnel means 101. With Body::kNone nothing but send_end()
  // follows.
  virtual void send_head(const ResponseHead& head, std::span<const Extra> extras) = 0;
  virtual void send_body(std::string_view bytes) = 0;
  virtual void send_end(const Fields* trailers) = 0;
  // Nothing more should be sent until Exchange::on_source_writable().
  [[nodiscard]] virtual bool congested() const = 0;
  // The exchange takes request body again. It comes later, not from inside this call.
  virtual void resume() = 0;
  // The response cannot be finished as it was begun: cut it so that the source notices.
  virtual void abort() = 0;
  // The exchange is over and recorded; it is free for the next request. Called once, last, unless the source
  // itself went away.
  virtual void exchange_over() = 0;
};

// Where the request goes and the response comes from.
class DestinationStream {
 public:
  virtual ~DestinationStream() = default;
  virtual void send_head(const RequestHead& head, std::string_view target, std::span<const Extra> extras) = 0;
  virtual void send_body(std::string_view bytes) = 0;
  virtual void send_end(const Fields* trailers) = 0;
  [[nodiscard]] virtual bool congested() const = 0;
  virtual void resume() = 0;
  // The exchange turns away; it hears nothing more. The stream is not used again unless it has ended both
  // ways.
  virtual void cancel() = 0;
  [[nodiscard]] virtual base::SocketAddress local() const = 0;
};

}  // namespace weft::http
