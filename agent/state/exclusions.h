#pragma once
// What each pod leaves out of the mesh: its own annotations and the objects of its namespace that select it.
#include <map>
#include <string>

#include "agent/objects/objects.h"
#include "agent/state/policy_book.h"
#include "agent/state/store.h"

namespace weft::state {

// Of each list of one pod, over all who speak: one pod must not fill the tables of the node.
inline constexpr size_t kMaxExcludedPerPod = 256;

struct PodExclusions {
  objects::Exclusions effective;
  std::string problem;  // a sentence on what does not count, and why; empty: all of it does
};

// A round is one begin(), and for each pod one of() and perhaps one count(). Owner: Pods. Refers to the
// objects of `store` for as long as the round lasts.
class ExclusionBook {
 public:
  void begin(const Store& store);
  // The union of what is said of the pod; `own` is what its annotations say.
  [[nodiscard]] PodExclusions of(const objects::Pod& pod, const objects::AnnotatedExclusions& own) const;
  // For the statuses of the objects that select the pod: whether what they ask for is in force there.
  void count(const objects::Pod& pod, bool in_force);
  [[nodiscard]] PolicyReach reach(const objects::CaptureExclusion& object) const;

 private:
  template <typename Visit>
  void each_selecting(const objects::Pod& pod, Visit visit) const;

  const Objects<objects::CaptureExclusion>* objects_ = nullptr;
  std::map<Key, PolicyReach> reach_;
};

}  // namespace weft::state
