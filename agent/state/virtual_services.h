#pragma once
// VirtualServices: whom they bind, and the routes they make for one listener.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/state/hosts.h"
#include "agent/state/services.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// What making the routes taught about one VirtualService; sets, since several listeners say the same.
struct RouteNotes {
  std::set<std::string> missing;   // destinations and gateways that do not exist
  std::set<std::string> invalid;   // parts that are left out, with their reason
  std::set<std::string> shadowed;  // rules that no request can reach
  std::set<std::string> merged;    // hosts shared with other VirtualServices, in the order of asking
  std::set<std::string> serves;    // where its routes are in force
};
using Notes = std::map<Key, RouteNotes>;

// A VirtualService with its names completed.
struct BoundRules {
  const objects::VirtualService* object = nullptr;
  Key key;
  std::vector<std::string> hosts;
  std::set<std::string> gateways;  // "mesh", "ns/name"
  Visibility visibility;
  std::string refused_reason, refused;  // why it is not served at all; empty: it is
};

// All of them, made anew with each layout. Lifetime: one build; it points into the Store.
class VirtualServices {
 public:
  VirtualServices(const Objects<objects::VirtualService>& all, const std::string& domain);

  [[nodiscard]] const std::vector<BoundRules>& all() const { return all_; }
  // Those that are in force at `gateway` for callers of `client_ns` ("": callers no rule speaks of), in the
  // order in which their routes are asked: private ones, those exported to this namespace, public ones;
  // oldest first in each.
  [[nodiscard]] std::vector<const BoundRules*> in_force(const std::string& gateway,
                                                        const std::string& client_ns) const;
  // The same for a mesh host exactly as some VirtualService writes it.
  [[nodiscard]] const std::vector<const BoundRules*>& mesh_rules(const std::string& host) const;

 private:
  std::vector<BoundRules> all_;
  std::map<std::string, std::vector<const BoundRules*>> mesh_by_host_;
};

// Sorts into the order of asking and drops what callers of `client_ns` do not see.
[[nodiscard]] std::vector<const BoundRules*> in_order(std::vector<const BoundRules*> rules,
                                                      const std::string& client_ns);

// The listener that routes are made for.
struct RouteScope {
  std::string gateway = "mesh";
  std::string client_ns;  // whose callers; "": those that no rule treats apart
  const objects::Labels* client_labels =
      nullptr;        // of a gateway's pod; null in the mesh, where the proxy asks
  uint16_t port = 0;  // of the Service, or of the Gateway
};

struct OwnedRoute {
  model::Route route;
  Key owner;
  bool catch_all = false;
};

// Adds the routes of one VirtualService. Stops behind its first rule that takes everything.
void add_routes(const BoundRules& rules, const RouteScope& scope, const Services& services,
                std::vector<OwnedRoute>& out, Notes& notes);
// Rules that take everything go behind all others, whatever VirtualService they are from; the rest keeps its
// order.
void sort_routes(std::vector<OwnedRoute>& routes);
// A virtual host has room for this many routes, each with this many matches; what comes after answers 503, so
// that it is missed and not misrouted. Beyond these a rule is a mistake or an attack on the proxies' memory.
inline constexpr size_t kMaxRoutes = 10'000;
inline constexpr size_t kMaxMatches = 10'000;
// Cuts the routes of callers of `client_ns` ("": of all) to `room`, with a note on those whose routes are
// cut.
void bound_routes(std::vector<OwnedRoute>& routes, size_t room, const std::string& client_ns, Notes& notes);

// Notes on each VirtualService where its routes are in force, and with which others, in the order of asking.
void note_owners(const std::vector<OwnedRoute>& routes, const std::string& where, Notes& notes);

}  // namespace weft::state
