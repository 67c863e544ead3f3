#include <fmt/format.h>

#include "agent/objects/kinds.h"
#include "agent/objects/read.h"

namespace weft::objects {
namespace {

constexpr size_t kMaxEndpoints = 1000, kMaxAddresses = 100, kMaxPorts = 20000;  // the API server's bounds

// An endpoint that pointed to these would let its author reach the node or the pod's own loopback through the
// mesh.
bool is_forbidden(const base::Address& address) {
  const auto& b = address.bytes;
  if (address.is_loopback() || address.is_unspecified()) return true;
  if (address.is_v4()) return (b[12] == 169 && b[13] == 254) || (b[12] >= 224 && b[12] < 240);
  return (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || b[0] == 0xff;
}

void read_endpoint_addresses(const Node& node, const std::string& path, const EndpointSlice& slice,
                             SliceEndpoint& endpoint, Report& report) {
  const Node& addresses = get(node, "addresses");
  if (addresses.items().empty() || addresses.items().size() > kMaxAddresses) {
    report.invalid(path, addresses, fmt::format("expected 1 to {} addresses", kMaxAddresses));
    return;
  }
  for (size_t i = 0; i < addresses.items().size() && !slice.by_name; ++i) {
    const Node& item = addresses.items()[i];
    const auto address = read_address(item, item_path(path, i), report);
    if (!address) continue;
    if (address->is_v4() != (slice.family == IpFamily::kIpv4)) {
      report.invalid(item_path(path, i), item, "the address is not of the slice's addressType");
      continue;
    }
    if (is_forbidden(*address)) {
      report.invalid(item_path(path, i), item,
                     "loopback, link-local, multicast and unspecified addresses are refused");
      continue;
    }
    endpoint.addresses.push_back(*address);
  }
}

SliceEndpoint read_endpoint(const Node& node, const std::string& path, const EndpointSlice& slice,
                            Report& report) {
  SliceEndpoint endpoint;
  read_endpoint_addresses(node, path + ".addresses", slice, endpoint, report);
  const Node& conditions = get(node, "conditions");
  endpoint.ready = flag(conditions, "ready", true);
  endpoint.serving = flag(conditions, "serving", endpoint.ready);
  endpoint.terminating = flag(conditions, "terminating");
  endpoint.hostname = text(node, "hostname");
  endpoint.node_name = text(node, "nodeName");
  endpoint.zone = text(node, "zone");
  const Node& target = get(node, "targetRef");
  endpoint.target = {text(target, "kind"), text(target, "namespace"), text(target, "name"),
                     text(target, "uid")};
  for (const Node& zone : node.at({"hints", "forZones"}).items())
    endpoint.hinted_zones.push_back(text(zone, "name"));
  for (const Node& hint : node.at({"hints", "forNodes"}).items())
    endpoint.hinted_nodes.push_back(text(hint, "name"));
  return endpoint;
}

bool within(const Node& node, size_t most, const std::string& path, Report& report) {
  if (node.items().size() <= most) return true;
  report.invalid(path, node, fmt::format("expected at most {} entries", most));
  return false;
}

}  // namespace

std::shared_ptr<Object> read_endpoint_slice(const Node& root, Report& report) {
  auto slice = std::make_shared<EndpointSlice>();
  const std::string type = text(root, "addressType");
  slice->family = type == "IPv6" ? IpFamily::kIpv6 : IpFamily::kIpv4;
  slice->by_name = type == "FQDN";
  if (slice->by_name)
    report.unsupported_value("addressType", get(root, "addressType"),
                             "weft does not use endpoints that are names");
  slice->service_name = text(root.at({"metadata", "labels"}), "kubernetes.io/service-name");
  const Node& endpoints = get(root, "endpoints");
  const Node& ports = get(root, "ports");
  if (!within(endpoints, kMaxEndpoints, "endpoints", report) || !within(ports, kMaxPorts, "ports", report))
    return slice;
  slice->endpoints.reserve(endpoints.items().size());
  for (size_t i = 0; i < endpoints.items().size(); ++i)
    slice->endpoints.push_back(
        read_endpoint(endpoints.items()[i], item_path("endpoints", i), *slice, report));
  for (size_t i = 0; i < ports.items().size(); ++i) {
    const Node& node = ports.items()[i];
    slice->ports.push_back({.name = text(node, "name"),
                            .app_protocol = text(node, "appProtocol"),
                            .protocol = read_protocol(node, item_path("ports", i), report),
                            .port = static_cast<uint16_t>(number(node, "port"))});
  }
  return slice;
}

}  // namespace weft::objects
