#pragma once
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ca/authenticator.h"
#include "agent/ca/reason.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::ca {

// Who may have which identity (reference identity 2, steps 2 and 3), by the pods as they are now. Owner: the
// control role. Threads: set_snapshot() from its loop, authorize() from any.
class NodeAuthorizer {
 public:
  struct Options {
    std::set<std::string> node_accounts;  // "ns/sa": may ask for the workloads of the node they run on
    std::string trust_domain = "cluster.local";
  };
  explicit NodeAuthorizer(Options options);

  void set_snapshot(model::SnapshotPtr snapshot);

  // `asked` empty: the caller's own identity, which everybody may also ask for by name. For another he must be
  // a node agent, and a workload of that identity must be on his node. His pod must be there as his token says
  // in any case: who is gone gets nothing. The trust domain is held to as well, which upstream does not.
  [[nodiscard]] Judged<model::SpiffeId> authorize(const Caller& caller, std::string_view asked) const;

 private:
  // The pods by what is asked of them.
  struct Index;
  [[nodiscard]] Judged<const model::Workload*> find_caller(const Index& index, const Caller& caller) const;

  Options options_;
  mutable base::Mutex mutex_;
  std::shared_ptr<const Index> index_ GUARDED_BY(mutex_);
};

}  // namespace weft::ca
