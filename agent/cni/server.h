#pragma once
// The socket on which weft-cni asks.
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "agent/cni/handler.h"
#include "userspace-proxy/base/loop.h"

namespace weft::cni {

struct ServerOptions {
  std::string socket_path = std::string(kDefaultSocket);
  // Within which a caller has an answer, whatever the handler does; below the plugin's own deadline.
  base::Nanos limit = base::Millis(4500);
  size_t max_connections = 256;  // two for each pod of a full node
};

struct ServerCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0;    // not root, or too many at a time
  uint64_t malformed = 0;  // requests that are none, or of another version
  uint64_t answered = 0;
  uint64_t timeouts = 0;  // answered "try again later" since the handler had not
};

// Owned by main, which lets it die before the loop; lives in the loop's thread. Only root may ask: who else
// reaches the socket is refused by what the kernel says of him.
class Server final : private base::IoHandler {
 public:
  // `handler` outlives it. Takes over the path of a former agent.
  static base::Result<std::unique_ptr<Server>> create(base::Loop& loop, Handler& handler,
                                                      ServerOptions options);
  ~Server() override;
  [[nodiscard]] const ServerCounters& counters() const { return counters_; }

 private:
  class Connection;
  Server(base::Loop& loop, Handler& handler, ServerOptions options);
  void on_io(uint32_t events) override;
  void handle(Connection& connection, const Request& request);
  void answer(uint64_t id, const Answer& answer);
  void drop(uint64_t id);

  base::Loop& loop_;
  Handler& handler_;
  const ServerOptions options_;
  base::Fd socket_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  ServerCounters counters_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  // for replies that outlive it
};

}  // namespace weft::cni
