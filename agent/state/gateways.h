#pragma once
// Gateways: the listeners and route tables of a gateway pod.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/state/services.h"
#include "agent/state/store.h"
#include "agent/state/virtual_services.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::state {

struct GatewayNotes {
  std::map<uint16_t, std::string> programmed;  // by pod port: "port 80, pod port 8080"
  std::set<std::string> invalid;               // servers that are not served, and why
};

struct GatewayLayout {
  std::vector<model::GatewayListener> listeners;
  std::vector<model::RouteTable> tables;
  std::map<Key, GatewayNotes> notes;  // of the Gateways that select this pod
};

// What the pod `self` has to serve. All plain HTTP servers on one port are one listener; a port without a
// usable server stays closed.
[[nodiscard]] GatewayLayout make_gateway_layout(const Store& store, const objects::Pod& self,
                                                const Services& services, const VirtualServices& rules,
                                                Notes& notes);

// Role control: what each gateway (a group of pods of one owner that some Gateway selects by labels) would have to serve,
// noted as its own agent would; of at most kMaxGatewayGroups of them.
inline constexpr size_t kMaxGatewayGroups = 64;
[[nodiscard]] std::map<Key, GatewayNotes> note_all_gateways(const Store& store, const Services& services,
                                                            const VirtualServices& rules, Notes& notes);

// The pod's port behind `port` of the Service that selects the pod; `port` itself if no Service does.
[[nodiscard]] uint16_t pod_port(const Store& store, const objects::Pod& self, uint16_t port);

}  // namespace weft::state
