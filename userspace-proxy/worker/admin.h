#pragma once
#include <functional>
#include <thread>

#include "userspace-proxy/observe/status_server.h"
#include "userspace-proxy/worker/fleet.h"

namespace weft::worker {

// The operator's ports: metrics (15020), readiness (15021), admin (15000), served by a thread of their own.
// Bind before privileges are dropped, start after. Owned by main; dies before the Fleet.
class Admin {
 public:
  struct Addresses {
    base::SocketAddress metrics, ready, admin;
  };

  static base::Result<std::unique_ptr<Admin>> bind(const base::Clock& clock, const Addresses& addresses);
  ~Admin();

  // `quit` is called, in the status thread, by POST /quitquitquit.
  base::Status start(Fleet& fleet, std::function<void()> quit);

 private:
  explicit Admin(std::unique_ptr<base::Loop> loop) : loop_(std::move(loop)), server_(*loop_) {}

  std::unique_ptr<base::Loop> loop_;
  observe::StatusServer server_;
  base::Fd metrics_, ready_, admin_;
  std::thread thread_;
};

// The handlers, apart from sockets.
[[nodiscard]] observe::StatusReply answer_metrics(Fleet& fleet, const observe::StatusRequest& request);
[[nodiscard]] observe::StatusReply answer_ready(const Health& health, const observe::StatusRequest& request);
[[nodiscard]] observe::StatusReply answer_admin(Fleet& fleet, const std::function<void()>& quit,
                                                const observe::StatusRequest& request);

}  // namespace weft::worker
