#include "agent/sandbox/services.h"

#include <algorithm>

#include "agent/sandbox/names.h"

namespace weft::sandbox {
namespace {

std::vector<std::string> wanted_families(const Json& spec, bool dual_stack) {
  std::vector<std::string> families;
  for (const Json& family : list_at(spec, "ipFamilies")) families.push_back(scalar_text(family));
  if (families.empty()) families.push_back("IPv4");
  if (!dual_stack) return {"IPv4"};
  const bool both = text_at(spec, "ipFamilyPolicy", "SingleStack") != "SingleStack";
  if (both && families.size() == 1) families.push_back(families[0] == "IPv4" ? "IPv6" : "IPv4");
  return families;
}

const Json* port_before(const Json& before, const Json& port) {
  for (const Json& old : list_at(before, "ports"))
    if (at(old, "port") == at(port, "port") &&
        text_at(old, "protocol", "TCP") == text_at(port, "protocol", "TCP"))
      return &old;
  return nullptr;
}

}  // namespace

bool is_headless(const Json& service) {
  return text_at(service, "spec.clusterIP") == "None";
}

std::vector<std::string> families_of(const Json& service) {
  std::vector<std::string> families;
  for (const Json& family : list_at(service, "spec.ipFamilies")) families.push_back(scalar_text(family));
  return families;
}

void ServiceAllocator::see(const Objects& services) {
  addresses_.clear();
  node_ports_.clear();
  for (const auto& [name, service] : services) {
    if (name.kind != "Service") continue;
    for (const Json& address : list_at(service, "spec.clusterIPs")) addresses_.insert(scalar_text(address));
    for (const Json& port : list_at(service, "spec.ports"))
      if (has(port, "nodePort")) node_ports_.insert(int_at(port, "nodePort"));
  }
}

std::string ServiceAllocator::next_address(bool v6) {
  uint32_t& last = v6 ? last_v6_ : last_v4_;
  for (uint32_t tried = 0; tried < 65534; ++tried) {
    last = last >= 65534 ? kFirstServiceHost : last + 1;
    std::string address = v6 ? layout_.service_v6(last) : layout_.service_v4(last);
    if (addresses_.insert(address).second) return address;
  }
  return "";
}

int64_t ServiceAllocator::next_node_port() {
  for (int64_t tried = kFirstNodePort; tried <= kLastNodePort; ++tried) {
    last_port_ = last_port_ >= kLastNodePort ? kFirstNodePort : last_port_ + 1;
    if (node_ports_.insert(last_port_).second) return last_port_;
  }
  return 0;
}

void ServiceAllocator::give_addresses(Json& spec, const Json& before) {
  const auto families = wanted_families(spec, layout_.plan().dual_stack);
  spec["ipFamilies"] = families;
  spec["ipFamilyPolicy"] = text_at(spec, "ipFamilyPolicy", "SingleStack");
  const std::string asked = text_at(spec, "clusterIP");
  if (asked == "None") {
    spec["clusterIPs"] = Json::array({"None"});
    return;
  }
  Json addresses = Json::array();
  for (const std::string& family : families) {
    const bool v6 = family == "IPv6";
    std::string address;
    for (const char* source : {"mine", "kept"}) {
      const Json& from = source == std::string_view("mine") ? spec : before;
      std::vector<Json> known = list_at(from, "clusterIPs");
      if (known.empty() && has(from, "clusterIP")) known.push_back(at(from, "clusterIP"));
      for (const Json& item : known) {
        const std::string text = scalar_text(item);
        if (address.empty() && text != "None" && (text.find(':') != std::string::npos) == v6) address = text;
      }
    }
    if (address.empty()) address = next_address(v6);
    addresses_.insert(address);
    addresses.push_back(address);
  }
  spec["clusterIP"] = addresses[0];
  spec["clusterIPs"] = addresses;
}

void ServiceAllocator::give_node_ports(Json& spec, const Json& before) {
  const std::string type = text_at(spec, "type");
  for (Json& port : spec["ports"]) {
    if (!has(port, "protocol")) port["protocol"] = "TCP";
    if (!has(port, "targetPort")) port["targetPort"] = at(port, "port");
    if (type != "NodePort" && type != "LoadBalancer") continue;
    const Json* old = port_before(before, port);
    if (!has(port, "nodePort") && old != nullptr && has(*old, "nodePort"))
      port["nodePort"] = at(*old, "nodePort");
    if (!has(port, "nodePort")) port["nodePort"] = next_node_port();
    node_ports_.insert(int_at(port, "nodePort"));
  }
}

Json ServiceAllocator::complete(const Json& applied, const Json* previous) {
  Json service = applied;
  const Json nothing = Json::object();
  const Json& old = previous == nullptr ? nothing : *previous;
  service["metadata"]["uid"] = text_at(old, "metadata.uid", previous == nullptr ? random_uid() : "");
  service["metadata"]["creationTimestamp"] = text_at(old, "metadata.creationTimestamp", now_text());
  Json& spec = service["spec"];
  if (!has(spec, "type")) spec["type"] = "ClusterIP";
  if (!has(spec, "sessionAffinity")) spec["sessionAffinity"] = "None";
  if (!has(spec, "internalTrafficPolicy")) spec["internalTrafficPolicy"] = "Cluster";
  if (text_at(spec, "type") == "ExternalName") return service;
  if (!spec["ports"].is_array()) spec["ports"] = Json::array();
  give_addresses(spec, at(old, "spec"));
  give_node_ports(spec, at(old, "spec"));
  const std::string type = text_at(spec, "type");
  if (type != "ClusterIP" && !has(spec, "externalTrafficPolicy")) spec["externalTrafficPolicy"] = "Cluster";
  service["status"]["loadBalancer"] = Json::object();
  return service;
}

}  // namespace weft::sandbox
