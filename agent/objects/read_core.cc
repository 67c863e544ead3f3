// Namespace, Node, ServiceAccount.
#include "agent/objects/kinds.h"
#include "agent/objects/read.h"

namespace weft::objects {

std::shared_ptr<Object> read_namespace(const Node& root, Report&) {
  auto object = std::make_shared<Namespace>();
  object->phase = text(get(root, "status"), "phase", "Active");
  return object;
}

std::shared_ptr<Object> read_service_account(const Node&, Report&) {
  return std::make_shared<ServiceAccount>();
}

std::shared_ptr<Object> read_node(const Node& root, Report& report) {
  auto object = std::make_shared<ClusterNode>();
  const Node& spec = get(root, "spec");
  object->pod_cidrs = texts(spec, "podCIDRs");
  if (object->pod_cidrs.empty() && has(spec, "podCIDR")) object->pod_cidrs.push_back(text(spec, "podCIDR"));
  object->unschedulable = flag(spec, "unschedulable");
  const Node& status = get(root, "status");
  object->conditions = read_conditions(status);
  size_t index = 0;
  for (const Node& item : get(status, "addresses").items()) {
    const std::string path = item_path("status.addresses", index++) + ".address";
    if (text(item, "type") == "Hostname") object->hostname = text(item, "address");
    if (text(item, "type") != "InternalIP") continue;
    if (const auto address = read_address(get(item, "address"), path, report))
      object->internal_ips.push_back(*address);
  }
  return object;
}

}  // namespace weft::objects
