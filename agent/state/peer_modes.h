#pragma once
// What a pod's peers have to prove. Source of the rules: reference identity.md 6.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/state/policies.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/policy.h"

namespace weft::state {

// `deciding`: the objects that were asked, whether or not they left the answer to the next one.
struct PodModes {
  model::PeerMode mode = model::PeerMode::kPermissive;
  std::string source;
  std::vector<model::PortMode> ports;
  std::vector<Key> deciding;
};

// All PeerAuthentications, by level: pod (selector) before namespace before mesh (the root namespace, without
// selector); of each level the oldest. Selecting objects of the root namespace count nowhere. The annotation
// weft.mesh/peer-mode speaks beside the object of its namespace, and the stricter of the two holds. Refers to the
// objects of `store` for as long as it lives.
class PeerModes {
 public:
  PeerModes() = default;
  PeerModes(const Objects<objects::PeerAuthentication>& objects, std::string root_namespace);

  // `ns` may be null.
  [[nodiscard]] PodModes of(const objects::Pod& pod, const NamespacePolicy* ns) const;
  // The object that takes the place of this one; null: it has its place.
  [[nodiscard]] const objects::PeerAuthentication* older_than(const objects::PeerAuthentication& object) const;
  [[nodiscard]] bool counts(const objects::PeerAuthentication& object) const;

 private:
  struct Level {
    std::shared_ptr<const objects::PeerAuthentication> whole;                    // the oldest without selector
    std::vector<std::shared_ptr<const objects::PeerAuthentication>> selecting;  // oldest first
  };
  [[nodiscard]] const Level* level(const std::string& ns) const;

  std::map<std::string, Level> levels_;
  std::string root_namespace_;
};

}  // namespace weft::state
