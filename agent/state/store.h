#pragma once
// The objects as they are now, sorted by namespace and name, so that whatever is made of them does not depend
// on the order of events.
#include <compare>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/objects/objects.h"
#include "agent/state/sandbox_fact.h"

namespace weft::state {

struct Key {
  std::string ns, name;
  auto operator<=>(const Key&) const = default;
};
[[nodiscard]] inline Key store_key(const objects::Object& object) {
  return {object.meta.ns, object.meta.name};
}

template <typename T>
using Objects = std::map<Key, std::shared_ptr<const T>>;

// What has to be made anew at the next build.
struct Dirty {
  bool layout = true;       // services, clusters, routes, listeners
  bool pods = true;         // the set of workloads or one of them, or what policy says of them
  std::set<Key> endpoints;  // services whose EndpointSlices changed
};

// Plain data with one way in. Owner: State.
struct Store {
  Objects<objects::Namespace> namespaces;
  Objects<objects::Pod> pods;
  Objects<objects::Service> services;
  std::map<Key, Objects<objects::EndpointSlice>> slices;  // by service
  SandboxFacts sandboxes;
  Objects<objects::Gateway> gateways;
  Objects<objects::VirtualService> virtual_services;
  Objects<objects::DestinationRule> destination_rules;
  Objects<objects::PeerAuthentication> peer_authentications;
  Objects<objects::AuthorizationPolicy> authorization_policies;
  Objects<objects::CaptureExclusion> capture_exclusions;
  Dirty dirty;

  void upsert(const objects::ObjectPtr& object);
  void remove(const objects::ObjectKey& key);
  void set_sandboxes(SandboxFacts facts);
  [[nodiscard]] const objects::Namespace* find_namespace(const std::string& name) const;
  // Of this very pod; null: the node knows nothing of it.
  [[nodiscard]] const SandboxFact* find_sandbox(const objects::Pod& pod) const;

 private:
  void forget_slice(const Key& key);
  void put_slice(const std::shared_ptr<const objects::EndpointSlice>& slice);
  std::map<Key, Key> service_of_slice_;
};

}  // namespace weft::state
