#pragma once
// Connections that were open when their pod was captured: they go on as they were, past the mesh, until they
// end.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "agent/enrol/pod_netns.h"

namespace weft::enrol {

struct PreMesh {
  size_t open = 0;
  std::vector<std::string>
      some;  // at most kNamed: "10.244.1.5:40002 - 10.244.2.7:5432", the pod's own end first
  bool operator==(const PreMesh&) const = default;
};

// Those of one pod. Owner: its keeper, in its thread. They are known by their sockets' cookies, so that none
// that comes later is taken for one of them; an agent that starts anew does not know of any.
class PreMeshConnections {
 public:
  static constexpr size_t kNamed = 8;
  static constexpr size_t kRemembered = 16'384;  // of one pod; more of them are not listed

  // Right after arming: what is open and not the proxy's was there before. What opened in that moment between
  // two pods of the node is counted with them.
  base::Status take(PodNetns& netns);
  // Which of them are still open. Costs nothing when there is none.
  base::Status look(PodNetns& netns);
  void forget();
  [[nodiscard]] const PreMesh& now() const { return now_; }

 private:
  void keep(const std::vector<ArrivedConnection>& open);

  std::set<uint64_t> cookies_;
  PreMesh now_;
};

}  // namespace weft::enrol
