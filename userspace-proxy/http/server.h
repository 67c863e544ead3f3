#pragma once
// The door of this room: an accepted connection of an HTTP port goes in, answered requests come out.
#include <memory>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/http/limits.h"
#include "userspace-proxy/identify/conn_info.h"
#include "userspace-proxy/observe/recorder.h"
#include "userspace-proxy/route/route.h"

namespace weft::http {

struct Core;

// What is shared by all HTTP connections of one worker: pools of connections to destinations, scratch memory,
// random numbers. Owned by the worker, used in its thread only, outlives every ServerConnection.
class Engine {
 public:
  Engine(base::Loop& loop, connect::Dialer& dialer, observe::Recorder& recorder, const Limits& limits = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Idle pooled connections are closed now; busy ones when their request is done.
  void drain();

  [[nodiscard]] Core& core() { return *core_; }

 private:
  std::unique_ptr<Core> core_;
};

class ServerConnection;

class ServerOwner {
 public:
  virtual ~ServerOwner() = default;
  // The connection is over and its records are written: hand it to Loop::retire(). Called once, possibly from
  // inside start().
  virtual void on_server_closed(ServerConnection& connection) = 0;
};

// One accepted connection on an HTTP port: HTTP/1.x, or HTTP/2 with prior knowledge (the first bytes tell).
// Writes one RequestRecord a request.
class ServerConnection : public base::Retirable {
 public:
  // `info` names the table (info.route_table) and `tables` must be built from info.snapshot. With route_table
  // == kNone every request goes to info.cluster, or, if that is kNone too, to info.original (inbound delivery
  // with the client's address as source when info.kind is kInbound).
  static std::unique_ptr<ServerConnection> create(Engine& engine, std::unique_ptr<base::Transport> transport,
                                                  std::shared_ptr<const identify::ConnInfo> info,
                                                  std::shared_ptr<const route::Tables> tables,
                                                  ServerOwner& owner);
  // Begins to read.
  virtual void start() = 0;
  // Requests that begin from now on go by this Snapshot; running ones end by the one they began with.
  virtual void reconfigure(std::shared_ptr<const identify::ConnInfo> info,
                           std::shared_ptr<const route::Tables> tables) = 0;
  // Running requests may end, then the connection closes (Connection: close, GOAWAY). One of HTTP/1 that waits for a
  // request goes on waiting for up to `patience`, and closes behind that answer: closing it at once would cut the
  // request that is already on its way (RFC 9112 9.5).
  virtual void drain(base::Nanos patience) = 0;
  // Closes at once with a reset; running requests are recorded.
  virtual void abort() = 0;
  [[nodiscard]] virtual const identify::ConnInfo& info() const = 0;
};

}  // namespace weft::http
