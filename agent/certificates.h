#pragma once
// The room certs as the roles use it.
#include <memory>

#include "agent/certs/ca_address.h"
#include "agent/certs/service.h"
#include "agent/kube/reflector.h"
#include "agent/mirror/config_map_file.h"
#include "agent/options.h"
#include "agent/publish/publisher.h"
#include "agent/report/report.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::agent {

// Without --ca-address it does nothing and reports nothing. Owner: a role; thread: the control loop's. `loop`
// and `publisher` outlive it.
class Certificates {
 public:
  // Before the publisher's thread and the loop run.
  Certificates(base::Loop& loop, publish::Publisher& publisher, const Options& options);
  // Behind an API server the file of roots follows ConfigMap weft-ca-root of the agent's namespace. Once.
  base::Status follow_roots(const Options& options, const base::Clock& clock);

  // Before the Snapshot is published: what a proxy reads there it may ask for.
  void want(const model::Snapshot& snapshot);
  // After the publisher's thread has ended; waits for requests that are under way, at most ten seconds.
  void stop();
  // Adds state and counters, and what the newest proxy lacks to what the role waits for.
  void describe(Report& report) const;

 private:
  std::shared_ptr<certs::CaAddress> address_;  // null: no CA
  std::unique_ptr<certs::Service> service_;    // the same
  std::unique_ptr<mirror::ConfigMapFile> roots_;
  std::unique_ptr<kube::Reflectors> reflectors_;
};

}  // namespace weft::agent
