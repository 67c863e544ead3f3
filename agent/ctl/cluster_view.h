#pragma once
// What a sandbox holds, as `get` and its relatives see it: the objects of its directories with the statuses
// that agents wrote beside them.
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"
#include "agent/sandbox/store.h"

namespace weft::ctl {

using sandbox::Json;
using sandbox::Layout;
using sandbox::ObjectName;

// What one agent says about one object.
struct WrittenStatus {
  ObjectName object;
  std::string writer;
  Json content;
};
[[nodiscard]] std::vector<WrittenStatus> read_statuses(const Layout& layout);

// One consistent look. Owner: a command. Lifetime: the command.
class ClusterView {
 public:
  static ClusterView load(const Layout& layout);

  // Objects of a kind, by namespace (empty: all) and name; statuses are merged in.
  [[nodiscard]] std::vector<const Json*> find(const std::string& kind, const std::string& ns = "",
                                              const std::string& name = "") const;
  [[nodiscard]] const Json* one(const ObjectName& name) const;
  [[nodiscard]] const std::vector<WrittenStatus>& statuses() const { return statuses_; }

 private:
  void merge_status(const WrittenStatus& status);
  void add(const sandbox::Store& store);

  sandbox::Objects objects_;
  std::vector<WrittenStatus> statuses_;
};

// What the agent of a node, or of a gateway pod ("ns.pod"), says about itself; null if it has said nothing.
[[nodiscard]] const Json* agent_report(const ClusterView& view, const std::string& writer);
// Status of a condition after the merge: "True", "False", "Unknown"; empty if nobody has said anything.
[[nodiscard]] std::string condition_of(const Json& object, const std::string& type);
// A deployment's pods of its present template that are ready, all of them, and how many there should be.
struct DeploymentState {
  int64_t wanted = 0, fresh = 0, ready = 0, others = 0;
  [[nodiscard]] bool complete() const { return ready == wanted && fresh == wanted && others == 0; }
};
[[nodiscard]] DeploymentState state_of(const Json& deployment, const ClusterView& view);

}  // namespace weft::ctl
