#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/loop.h"

namespace weft::observe {

struct StatusRequest {
  std::string method, path, query;  // "GET", "/metrics", "access=on"
};

struct StatusReply {
  int code = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

using StatusHandler = std::function<StatusReply(const StatusRequest&)>;

// A very small HTTP server for the operator's ports (metrics, readiness, admin): one request a connection, no
// body, bounded in everything. It is not the proxy's HTTP stack on purpose: that one is built to be fast,
// this one to work whatever the workers do. Lives in its own thread's loop.
class StatusServer {
 public:
  static constexpr size_t kMaxConnections = 64;
  static constexpr size_t kMaxHead = 8192;
  static constexpr base::Nanos kTimeout = base::Millis(5000);

  explicit StatusServer(base::Loop& loop);
  ~StatusServer();

  // A bound, listening, non-blocking socket.
  static base::Result<base::Fd> bind(const base::SocketAddress& address);
  // Answers what arrives at `listener` with `handler`, in the loop's thread.
  base::Status serve(base::Fd listener, StatusHandler handler);

 private:
  class Port;
  class Connection;
  void retire(Connection& connection);

  base::Loop& loop_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::list<std::unique_ptr<Connection>> connections_;
};

// Exposed for its test: the first line of an HTTP request. False when it is not one.
[[nodiscard]] bool parse_request(std::string_view head, StatusRequest* out);

}  // namespace weft::observe
