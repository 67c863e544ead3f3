#pragma once
// Everything of a Snapshot that depends on configuration and not on which endpoints are up.
#include <map>
#include <string>
#include <vector>

#include "agent/state/gateways.h"
#include "agent/state/services.h"
#include "agent/state/state.h"
#include "agent/state/store.h"
#include "agent/state/virtual_services.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

// What came of one DestinationRule.
struct RuleNotes {
  std::string host;      // completed
  bool known = false;    // some Service has this host
  bool applied = false;  // it holds for some caller of some service, as far as this agent is concerned
  std::string why_not;   // a sentence, if it does not
  std::string limited;   // a sentence, if it holds for some callers only
};

// Kept until configuration changes. Owner: State.
struct Layout {
  std::vector<model::Service> services;
  std::vector<model::Cluster> clusters;  // without endpoints
  std::vector<ClusterPlan> plans;        // one a cluster
  std::vector<model::RouteTable> route_tables;
  std::vector<model::GatewayListener> listeners;
  Notes virtual_services;                // of those in force or named here
  std::map<Key, std::string> refused;    // VirtualServices that cannot be served: "reason: message"
  std::map<Key, GatewayNotes> gateways;  // role gateway: those that select this pod; role control: all that select some
  std::map<Key, RuleNotes> destination_rules;
};

[[nodiscard]] Layout make_layout(const Store& store, const StateOptions& options);

}  // namespace weft::state
