#include "agent/sandbox/endpoints.h"

#include <map>

#include "agent/sandbox/kubelet.h"
#include "agent/sandbox/names.h"
#include "agent/sandbox/services.h"

namespace weft::sandbox {
namespace {

std::string address_of(const Json& pod, bool v6) {
  for (const Json& ip : list_at(pod, "status.podIPs")) {
    std::string text = text_at(ip, "ip");
    if ((text.find(':') != std::string::npos) == v6) return text;
  }
  return "";
}

Json slice_ports(const Json& service, const Json* pod) {
  Json ports = Json::array();
  for (const Json& port : list_at(service, "spec.ports")) {
    const int64_t number = pod != nullptr                               ? target_port(port, *pod)
                           : at(port, "targetPort").is_number_integer() ? int_at(port, "targetPort")
                                                                        : 0;
    if (number == 0) continue;
    Json entry{
        {"name", text_at(port, "name")}, {"port", number}, {"protocol", text_at(port, "protocol", "TCP")}};
    if (has(port, "appProtocol")) entry["appProtocol"] = at(port, "appProtocol");
    ports.push_back(entry);
  }
  return ports;
}

Json endpoint(const Json& service, const Json& pod, const std::string& address) {
  const bool terminating = has(pod, "metadata.deletionTimestamp");
  const bool ready = condition_holds(pod, "Ready");
  const bool publish = bool_at(service, "spec.publishNotReadyAddresses");
  return Json{
      {"addresses", Json::array({address})},
      {"conditions",
       {{"ready", publish || (ready && !terminating)}, {"serving", ready}, {"terminating", terminating}}},
      {"nodeName", text_at(pod, "spec.nodeName")},
      {"targetRef",
       {{"kind", "Pod"},
        {"namespace", text_at(pod, "metadata.namespace")},
        {"name", text_at(pod, "metadata.name")},
        {"uid", text_at(pod, "metadata.uid")}}}};
}

bool counts(const Json& pod) {
  const std::string phase = text_at(pod, "status.phase");
  return phase != "Succeeded" && phase != "Failed";
}

}  // namespace

int64_t target_port(const Json& service_port, const Json& pod) {
  const Json& target = at(service_port, "targetPort");
  if (target.is_number_integer()) return target.get<int64_t>();
  if (target.is_null()) return int_at(service_port, "port");
  for (const Json& container : list_at(pod, "spec.containers"))
    for (const Json& port : list_at(container, "ports"))
      if (text_at(port, "name") == scalar_text(target) &&
          text_at(port, "protocol", "TCP") == text_at(service_port, "protocol", "TCP"))
        return int_at(port, "containerPort");
  return 0;
}

std::vector<Json> endpoint_slices(const Json& service, const std::vector<const Json*>& pods) {
  std::vector<Json> slices;
  const Json& selector = at(service, "spec.selector");
  if (!selector.is_object() || selector.empty() || text_at(service, "spec.type") == "ExternalName")
    return slices;
  const std::string ns = text_at(service, "metadata.namespace"), name = text_at(service, "metadata.name");
  for (const std::string& family : families_of(service)) {
    std::map<std::string, Json> by_ports;  // text of the ports -> slice
    auto slice_for = [&](const Json& ports) -> Json& {
      Json& slice = by_ports[ports.dump()];
      if (slice.is_null())
        slice = {{"apiVersion", "discovery.k8s.io/v1"},
                 {"kind", "EndpointSlice"},
                 {"metadata",
                  {{"name", name + "-" + safe_letters(hash_of(family + ports.dump()), 5)},
                   {"namespace", ns},
                   {"labels",
                    {{"kubernetes.io/service-name", name},
                     {"endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"}}}}},
                 {"addressType", family},
                 {"ports", ports},
                 {"endpoints", Json::array()}};
      return slice;
    };
    for (const Json* pod : pods) {
      if (text_at(*pod, "metadata.namespace") != ns || !selects(selector, at(*pod, "metadata.labels")))
        continue;
      const std::string address = address_of(*pod, family == "IPv6");
      if (address.empty() || !counts(*pod)) continue;
      slice_for(slice_ports(service, pod))["endpoints"].push_back(endpoint(service, *pod, address));
    }
    if (by_ports.empty()) (void)slice_for(slice_ports(service, nullptr));
    for (auto& [ports, slice] : by_ports) slices.push_back(std::move(slice));
  }
  return slices;
}

}  // namespace weft::sandbox
