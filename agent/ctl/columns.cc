#include "agent/ctl/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/ctl/printer.h"
#include "agent/sandbox/kubelet.h"

namespace weft::ctl {
namespace {

using sandbox::at;
using sandbox::int_at;
using sandbox::list_at;
using sandbox::scalar_text;
using sandbox::text_at;
using Cells = std::vector<std::string>;

std::string joined(const Json::array_t& list, const std::string& otherwise = "<none>") {
  std::string out;
  for (const Json& item : list) out += (out.empty() ? "" : ",") + scalar_text(item);
  return out.empty() ? otherwise : out;
}

std::string pairs_text(const Json& object, const std::string& path) {
  std::string out;
  for (const auto& [key, value] : sandbox::pairs_at(object, path))
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out.empty() ? "<none>" : out;
}

std::string or_dash(std::string text) {
  return text.empty() ? "-" : text;
}

// "1", or "2 (RESOLVED..)": how many findings, wide form spells them out below the table's row.
std::string findings_text(const Json& object) {
  const auto lines = finding_lines(object);
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
  return out.empty() ? "<none>" : out;
}

// Types of conditions that do not hold, with their reasons.
std::string troubles_text(const Json& object) {
  std::string out;
  for (const Json& condition : list_at(object, "status.conditions"))
    if (text_at(condition, "status") == "False")
      out += fmt::format("{}{}: {}", out.empty() ? "" : "; ",
                         text_at(condition, "reason", text_at(condition, "type")),
                         text_at(condition, "message", text_at(condition, "type") + " is False"));
  const std::string findings = findings_text(object);
  if (findings == "<none>") return out.empty() ? findings : out;
  return out.empty() ? findings : out + "; " + findings;
}

std::string service_ports(const Json& service) {
  std::string out;
  for (const Json& port : list_at(service, "spec.ports")) {
    out += fmt::format("{}{}", out.empty() ? "" : ",", int_at(port, "port"));
    if (sandbox::has(port, "nodePort")) out += fmt::format(":{}", int_at(port, "nodePort"));
    out += "/" + text_at(port, "protocol", "TCP");
  }
  return out.empty() ? "<none>" : out;
}

// What goes around the mesh, or that the wish for it is refused (`describe` says why).
std::string excluded_text(const Json& pod) {
  for (const Json& condition : list_at(pod, "status.conditions"))
    if (text_at(condition, "type") == "Excluded")
      return text_at(condition, "status") == "True" ? text_at(condition, "message") : "refused";
  return "-";
}

Cells pod_cells(const Json& pod, bool wide, const std::string& age) {
  int64_t ready = 0, restarts = 0;
  const auto& statuses = list_at(pod, "status.containerStatuses");
  for (const Json& status : statuses) {
    ready += sandbox::bool_at(status, "ready") ? 1 : 0;
    restarts += int_at(status, "restartCount");
  }
  const size_t total = list_at(pod, "spec.containers").size();
  Cells cells{fmt::format("{}/{}", ready, total), pod_status(pod), std::to_string(restarts), age};
  if (!wide) return cells;
  cells.push_back(text_at(pod, "status.podIP", "<none>"));
  cells.push_back(text_at(pod, "spec.nodeName", "<none>"));
  cells.push_back(or_dash(condition_of(pod, "Enrolled")));
  cells.push_back(excluded_text(pod));
  std::string messages;
  for (const Json& status : statuses) {
    const std::string message = text_at(status, "state.waiting.message");
    if (!message.empty()) messages += (messages.empty() ? "" : "; ") + message;
  }
  cells.push_back(messages.empty() ? "<none>" : messages);
  return cells;
}

Cells service_cells(const Json& service, bool wide, const std::string& age) {
  const std::string type = text_at(service, "spec.type", "ClusterIP");
  std::string external = type == "LoadBalancer" ? "<pending>" : "<none>";
  if (type == "ExternalName") external = text_at(service, "spec.externalName");
  Cells cells{type, joined(list_at(service, "spec.clusterIPs"), "<none>"), external, service_ports(service),
              age};
  if (wide) cells.push_back(pairs_text(service, "spec.selector"));
  return cells;
}

Cells slice_cells(const Json& slice, const std::string& age) {
  std::string ports, addresses;
  for (const Json& port : list_at(slice, "ports"))
    ports += (ports.empty() ? "" : ",") + std::to_string(int_at(port, "port"));
  for (const Json& endpoint : list_at(slice, "endpoints")) {
    const bool ready = sandbox::bool_at(endpoint, "conditions.ready", true);
    const bool going = sandbox::bool_at(endpoint, "conditions.terminating");
    addresses += (addresses.empty() ? "" : ",") + joined(list_at(endpoint, "addresses")) +
                 (going   ? "(terminating)"
                  : ready ? ""
                          : "(not ready)");
  }
  return {text_at(slice, "addressType"), ports.empty() ? "<unset>" : ports,
          addresses.empty() ? "<unset>" : addresses, age};
}

Cells deployment_cells(const Json& deployment, const ClusterView& view, const std::string& age) {
  const DeploymentState state = state_of(deployment, view);
  return {fmt::format("{}/{}", state.ready, state.wanted), std::to_string(state.fresh),
          std::to_string(state.ready), age};
}

Cells node_cells(const Json& node, bool wide, const std::string& age) {
  Cells cells{condition_of(node, "Ready") == "True" ? "Ready" : "NotReady", age};
  if (!wide) return cells;
  cells.push_back(text_at(node, "status.addresses.0.address"));
  cells.push_back(joined(list_at(node, "spec.podCIDRs")));
  return cells;
}

Cells exclusion_cells(const Json& exclusion, const std::string& accepted, const std::string& age) {
  Json::array_t outbound = list_at(exclusion, "spec.outbound.ports");
  const auto& ranges = list_at(exclusion, "spec.outbound.cidrs");
  outbound.insert(outbound.end(), ranges.begin(), ranges.end());
  return {joined(outbound), joined(list_at(exclusion, "spec.inbound.ports")), accepted,
          or_dash(condition_of(exclusion, "Enforced")), age};
}

}  // namespace

std::string pod_status(const Json& pod) {
  if (sandbox::has(pod, "metadata.deletionTimestamp")) return "Terminating";
  for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    for (const Json& status : list_at(pod, list)) {
      const std::string waiting = text_at(status, "state.waiting.reason");
      if (!waiting.empty()) return waiting;
      const std::string ended = text_at(status, "state.terminated.reason");
      if (!ended.empty() && ended != "Completed") return ended;
    }
  }
  const std::string phase = text_at(pod, "status.phase", "Pending");
  return phase == "Succeeded" ? "Completed" : phase;
}

std::vector<std::string> finding_lines(const Json& object) {
  std::vector<std::string> lines;
  for (const Json& said : list_at(object, "status.weft")) {
    for (const Json& finding : list_at(said, "findings")) {
      std::string line = finding.is_string() ? scalar_text(finding) : text_at(finding, "message");
      const std::string path = text_at(finding, "path"), code = text_at(finding, "code");
      if (!path.empty()) line = path + ": " + line;
      if (int_at(finding, "line") > 0) line = fmt::format("line {}: {}", int_at(finding, "line"), line);
      if (!code.empty()) line += " [" + code + "]";
      if (std::ranges::find(lines, line) == lines.end()) lines.push_back(line);
    }
  }
  return lines;
}

std::vector<std::string> header_of(const std::string& kind, bool wide) {
  static const std::map<std::string, std::pair<Cells, Cells>> kHeaders = {
      {"Pod", {{"READY", "STATUS", "RESTARTS", "AGE"}, {"IP", "NODE", "ENROLLED", "EXCLUDED", "MESSAGE"}}},
      {"Service", {{"TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"}, {"SELECTOR"}}},
      {"EndpointSlice", {{"ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"}, {}}},
      {"Deployment", {{"READY", "UP-TO-DATE", "AVAILABLE", "AGE"}, {}}},
      {"Node", {{"STATUS", "AGE"}, {"INTERNAL-IP", "POD-CIDR"}}},
      {"Namespace", {{"STATUS", "AGE"}, {"LABELS"}}},
      {"Gateway", {{"ACCEPTED", "PROGRAMMED", "AGE"}, {"SELECTOR", "FINDINGS"}}},
      {"VirtualService", {{"GATEWAYS", "HOSTS", "ACCEPTED", "RESOLVED", "AGE"}, {"FINDINGS"}}},
      {"DestinationRule", {{"HOST", "ACCEPTED", "AGE"}, {"FINDINGS"}}},
      {"PeerAuthentication", {{"MODE", "ACCEPTED", "ENFORCED", "AGE"}, {"FINDINGS"}}},
      {"AuthorizationPolicy", {{"ACTION", "ACCEPTED", "ENFORCED", "AGE"}, {"FINDINGS"}}},
      {"CaptureExclusion", {{"OUTBOUND", "INBOUND", "ACCEPTED", "ENFORCED", "AGE"}, {"FINDINGS"}}}};
  auto found = kHeaders.find(kind);
  if (found == kHeaders.end()) return {"AGE"};
  Cells header = found->second.first;
  if (wide) header.insert(header.end(), found->second.second.begin(), found->second.second.end());
  return header;
}

std::vector<std::string> cells_of(const Json& object, const std::string& kind, bool wide,
                                  const ClusterView& view, int64_t now_seconds) {
  const std::string age = age_text(text_at(object, "metadata.creationTimestamp"), now_seconds);
  const std::string accepted = or_dash(condition_of(object, "Accepted"));
  Cells cells{age};
  if (kind == "Pod") return pod_cells(object, wide, age);
  if (kind == "Service") return service_cells(object, wide, age);
  if (kind == "EndpointSlice") return slice_cells(object, age);
  if (kind == "Deployment") return deployment_cells(object, view, age);
  if (kind == "Node") return node_cells(object, wide, age);
  if (kind == "Namespace") cells = {text_at(object, "status.phase", "Active"), age};
  if (kind == "Gateway") cells = {accepted, or_dash(condition_of(object, "Programmed")), age};
  if (kind == "VirtualService")
    cells = {joined(list_at(object, "spec.gateways"), "mesh"), joined(list_at(object, "spec.hosts")),
             accepted, or_dash(condition_of(object, "ResolvedRefs")), age};
  if (kind == "DestinationRule") cells = {text_at(object, "spec.host"), accepted, age};
  const bool modes = kind == "PeerAuthentication", policy = kind == "AuthorizationPolicy";
  if (modes || policy)
    cells = {modes ? text_at(object, "spec.mtls.mode", "UNSET") : text_at(object, "spec.action", "ALLOW"), accepted,
             or_dash(condition_of(object, "Enforced")), age};
  const bool exclusion = kind == "CaptureExclusion";
  if (exclusion) cells = exclusion_cells(object, accepted, age);
  if (!wide) return cells;
  if (kind == "Namespace") cells.push_back(pairs_text(object, "metadata.labels"));
  if (kind == "Gateway") cells.push_back(pairs_text(object, "spec.selector"));
  if (kind == "Gateway" || kind == "VirtualService" || kind == "DestinationRule" || modes || policy || exclusion)
    cells.push_back(troubles_text(object));
  return cells;
}

}  // namespace weft::ctl
