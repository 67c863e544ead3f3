#pragma once
// Connections that were open when their pod was captured: they go on as they were, past the mesh, until they
// end, by themselves or by policy.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "agent/enrol/pod_netns.h"
#include "agent/enrol/pre_mesh_memory.h"

namespace weft::enrol {

struct PreMesh {
  size_t open = 0;
  std::vector<std::string>
      some;  // at most kNamed: "10.244.1.5:40002 - 10.244.2.7:5432", the pod's own end first
  size_t unlisted = 0;  // that were open beside those that are remembered: nobody follows or ends them
  size_t ended = 0;     // by policy
  size_t stuck = 0;     // of `open`: that could not be ended when it was last tried
  bool late = false;    // listed some time after arming: the mesh's may be among them, so that none is ended
  bool recalled = false;  // an earlier agent has listed them, and told of them
  bool operator==(const PreMesh&) const = default;
};

// Those of one pod. Owner: its keeper, in its thread. They are known by their sockets' cookies, so that none
// that comes later is taken for one of them; an agent that starts anew learns them from the one before it.
class PreMeshConnections {
 public:
  static constexpr size_t kNamed = 8;
  static constexpr size_t kRemembered = 16'384;  // of one pod; more of them are not listed
  static constexpr size_t kAtOnce = 1024;        // ended in one turn: whoever is cut calls again

  // Right after arming: what is open and not the proxy's was there before. What opened in that moment between
  // two pods of the node is counted with them.
  base::Status take(PodNetns& netns, bool late);
  // Which of them are still open. Costs nothing when there is none.
  base::Status look(PodNetns& netns);
  // Ends kAtOnce of them at most; the error is that of the last one that could not be ended.
  base::Status end_some(PodNetns& netns);
  void forget();
  void recall(const PreMeshRecord& record);
  [[nodiscard]] PreMeshRecord record(base::Instant enrolled_at) const;
  [[nodiscard]] const PreMesh& now() const { return now_; }

 private:
  // Those of before among the sockets that are open.
  base::Result<std::vector<ArrivedConnection>> still_open(PodNetns& netns) const;
  void keep(const std::vector<ArrivedConnection>& open);

  std::set<uint64_t> cookies_;
  PreMesh now_;
};

}  // namespace weft::enrol
