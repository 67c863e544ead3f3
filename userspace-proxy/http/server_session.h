#pragma once
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/http/core.h"

namespace weft::http {

// What a protocol session asks of the connection it runs on.
class ServerHost {
 public:
  virtual ~ServerHost() = default;
  [[nodiscard]] virtual base::Transport& transport() = 0;
  [[nodiscard]] virtual const std::shared_ptr<const Plan>& plan() const = 0;
  // The session is over: the connection closes; nothing is called any more.
  virtual void session_over() = 0;
  // The first bytes were an HTTP/2 preface; `bytes` is all that was read. The calling session is done.
  virtual void switch_to_http2(std::string_view bytes) = 0;
};

// One protocol on one accepted connection. Owned by its connection, retired with it.
class ServerSession : public Session, public base::Retirable {
 public:
  virtual void on_writable() = 0;
  // As ServerConnection::drain().
  virtual void drain(base::Nanos patience) = 0;
  // Running requests are recorded with `flag`; the connection is about to be reset.
  virtual void abort(observe::Flag flag) = 0;
};

}  // namespace weft::http
