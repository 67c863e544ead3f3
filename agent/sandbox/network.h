#pragma once
// The cluster's network, all of it inside namespaces of its own; the root namespace is not touched.
//
//   fabric: bridge 10.77.x.1 (and DNS) ---+--- node1 10.77.x.11: br0 10.244.n.1 --- pods 10.244.n.2 ...
//                                         +--- node2 10.77.x.12: br0            --- pods
//                                         +--- outside 10.77.x.100
//
// Pods have /32 addresses and reach everyone through their node, so the node's nftables see both directions
// of every flow, also between two pods of one node, whatever bridge netfilter the machine has.
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

struct PodNetwork {
  std::string netns;  // path
  std::string node;
  std::string interface;  // the veth's end in the node
  std::string v4, v6;     // v6 empty without dual stack
};

// Makes a network namespace and keeps it by a mount at `path`; one that is already there is kept.
[[nodiscard]] base::Status make_netns(const std::string& path);
[[nodiscard]] base::Status remove_netns(const std::string& path);

// Fabric, outside and nodes. Safe to repeat.
[[nodiscard]] base::Status make_cluster_network(const Layout& layout);
[[nodiscard]] base::Status make_pod_network(const Layout& layout, const PodNetwork& pod);
[[nodiscard]] base::Status remove_pod_network(const Layout& layout, const PodNetwork& pod);

// Pure: the `ip -batch` lines, for tests and for people.
[[nodiscard]] std::string fabric_commands(const Layout& layout);
[[nodiscard]] std::string node_commands(const Layout& layout, uint32_t node);
[[nodiscard]] std::string outside_commands(const Layout& layout);

}  // namespace weft::sandbox
