#pragma once
// Where the pods of this node live, for those whose objects do not say it: behind an API server no object does.
#include <functional>
#include <string>

namespace weft::enrol {

// Thread: the control loop's. Owner: the role node.
class SandboxFinder {
 public:
  virtual ~SandboxFinder() = default;
  // A path by which the pod's network namespace can be opened now; empty: it is not known (yet). `uid`: the pod's, as
  // in metadata.uid. Never the namespace of another pod, and never the node's own.
  [[nodiscard]] virtual std::string find(const std::string& uid) = 0;
  // `changed` is called, in the loop's thread, when an answer may have become another.
  virtual void on_change(std::function<void()> changed) = 0;
};

}  // namespace weft::enrol
