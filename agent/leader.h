#pragma once
// Of the replicas of the role control, the one that writes: statuses, Secrets, ConfigMaps.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/kube/client.h"
#include "agent/kube/lease.h"
#include "agent/objects/node.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::agent {

// The connection to the API server, and the election by the Lease weft-control in control's namespace. Owner: the role
// control. Listeners and their objects outlive stop().
class Leader {
 public:
  // `replica`: unique, the pod's name.
  static base::Result<std::unique_ptr<Leader>> create(kube::Config config, const base::Clock& clock,
                                                      const std::string& ns, const std::string& replica);
  ~Leader();
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;

  // Before start(). Called in the election's thread with true when this replica leads, with false when it no longer does.
  void on_change(std::function<void(bool leads)> listener) { listeners_.push_back(std::move(listener)); }
  void start();
  // Gives the Lease back; then requests end, those under way within a second.
  void stop();

  // Any thread.
  [[nodiscard]] bool leads() const { return election_ && election_->leads(); }
  [[nodiscard]] kube::Client& client() { return *client_; }
  // For reports.
  [[nodiscard]] objects::Node describe() const;

 private:
  Leader() = default;
  void tell(bool leads);

  std::unique_ptr<kube::Client> client_;
  std::vector<std::function<void(bool)>> listeners_;
  std::unique_ptr<kube::LeaderElection> election_;
};

}  // namespace weft::agent
