#pragma once
#include <map>
#include <string>
#include <vector>

#include "userspace-proxy/base/address.h"

namespace weft::state {

// Where a pod of this node lives, as the node itself knows it: told by the container runtime, or found in
// /proc.
struct SandboxFact {
  std::string ns, name;  // both empty: only the uid is known
  std::string netns;     // path
  std::vector<base::Address>
      addresses;  // newer than the object's status; empty: not known, the status counts
  bool operator==(const SandboxFact&) const = default;
};
using SandboxFacts =
    std::map<std::string, SandboxFact>;  // by uid, of a static pod by the hash of its manifest

}  // namespace weft::state
