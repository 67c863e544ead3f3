#include "agent/state/statuses.h"

#include <algorithm>
#include <set>

#include "agent/state/endpoints.h"

namespace weft::state {
namespace {

constexpr size_t kMaxNamed = 10;

// A status is read by people: the first few say enough.
std::string join(const std::set<std::string>& texts) {
  std::string out;
  size_t count = 0;
  for (const std::string& text : texts) {
    if (count == kMaxNamed) return out + "; and " + std::to_string(texts.size() - count) + " more";
    out += (count++ == 0 ? "" : "; ") + text;
  }
  return out;
}

void add_if_any(ObjectStatus& status, const char* type, const char* reason,
                const std::set<std::string>& texts) {
  if (!texts.empty()) status.conditions.push_back(condition(type, true, reason, join(texts)));
}

ObjectStatus virtual_service_status(const objects::VirtualService& object, const Layout& layout,
                                    const StateOptions& options) {
  ObjectStatus out = status_of(object);
  const Key key = store_key(object);
  const auto refused = layout.refused.find(key);
  if (refused != layout.refused.end()) {
    const size_t colon = refused->second.find(": ");
    out.conditions.push_back(
        condition("Accepted", false, refused->second.substr(0, colon), refused->second.substr(colon + 2)));
    return out;
  }
  const auto found = layout.virtual_services.find(key);
  static const RouteNotes kNothing;
  const RouteNotes& notes = found == layout.virtual_services.end() ? kNothing : found->second;
  out.conditions.push_back(
      condition("Accepted", true, "Accepted",
                !notes.serves.empty()    ? "in force: " + join(notes.serves)
                : options.whole_cluster ? "not in force anywhere"
                                        : "not in force on this agent"));
  if (notes.missing.empty()) {
    out.conditions.push_back(condition("ResolvedRefs", true, "ResolvedRefs", "everything it names exists"));
  } else {
    out.conditions.push_back(condition("ResolvedRefs", false, "NotFound", join(notes.missing)));
  }
  add_if_any(out, "PartiallyInvalid", "NotServed", notes.invalid);
  add_if_any(out, "Merged", "SharedHost", notes.merged);
  add_if_any(out, "Shadowed", "UnreachableRules", notes.shadowed);
  return out;
}

ObjectStatus served_gateway_status(const objects::Gateway& object, const GatewayNotes& notes,
                                   const ClosedPorts& closed) {
  ObjectStatus out = status_of(object);
  out.conditions.push_back(condition("Accepted", true, "Accepted", "its selector names this gateway's pod"));
  if (notes.programmed.empty()) {
    out.conditions.push_back(
        condition("Programmed", false, notes.invalid.empty() ? "NoServers" : "UnsupportedField",
                  "no port is open" + (notes.invalid.empty() ? "" : ": " + join(notes.invalid))));
    return out;
  }
  std::set<std::string> open, shut;
  for (const auto& [port, text] : notes.programmed) {
    const auto why = closed.find(port);
    if (why == closed.end()) open.insert(text);
    if (why != closed.end()) shut.insert(text + ": " + why->second);
  }
  if (open.empty()) {
    out.conditions.push_back(condition("Programmed", false, "PortUnavailable", join(shut)));
  } else {
    out.conditions.push_back(condition("Programmed", true, "Programmed", join(open)));
    add_if_any(out, "PartiallyProgrammed", "PortUnavailable", shut);
  }
  add_if_any(out, "PartiallyInvalid", "UnsupportedField", notes.invalid);
  return out;
}

// Role control: as its pods' own agents would say it, with how many of them are ready to serve.
ObjectStatus told_gateway_status(const objects::Gateway& object, const GatewayNotes& notes, const Store& store) {
  size_t pods = 0, ready = 0;
  for (const auto& [key, pod] : store.pods) {
    if (is_finished(*pod) || !selects(object.selector, pod->meta.labels)) continue;
    ++pods;
    if (pod->ready()) ++ready;
  }
  ObjectStatus out = served_gateway_status(object, notes, {});
  out.conditions[0].message = "its selector names " + std::to_string(pods) + (pods == 1 ? " pod" : " pods");
  objects::Condition& programmed = out.conditions[1];
  if (programmed.status != "True") return out;
  programmed.message += "; " + std::to_string(ready) + "/" + std::to_string(pods) + " pods are ready";
  if (ready > 0) return out;
  programmed.status = "False";
  programmed.reason = "NoReadyPods";
  return out;
}

ObjectStatus seen_gateway_status(const objects::Gateway& object, const Store& store) {
  ObjectStatus out = status_of(object);
  const bool any = std::ranges::any_of(store.pods, [&](const auto& entry) {
    return !is_finished(*entry.second) && selects(object.selector, entry.second->meta.labels);
  });
  if (any) {
    out.conditions.push_back(condition("Accepted", true, "Accepted", "its selector names at least one pod"));
    return out;
  }
  std::string labels;
  for (const auto& [name, value] : object.selector)
    labels += (labels.empty() ? "" : ",") + name + "=" + value;
  out.conditions.push_back(
      condition("Accepted", false, "NoMatchingPods",
                "no pod in any namespace carries " + labels + "; start a gateway or correct spec.selector"));
  return out;
}

ObjectStatus destination_rule_status(const objects::DestinationRule& object, const RuleNotes& notes,
                                     const StateOptions& options) {
  ObjectStatus out = status_of(object);
  out.conditions.push_back(condition("Accepted", true, "Accepted", "host " + notes.host));
  if (!notes.known) {
    out.conditions.push_back(condition("ResolvedRefs", false, "NotFound",
                                       "no Service " + notes.host + "; create it or correct spec.host"));
    return out;
  }
  out.conditions.push_back(condition("ResolvedRefs", true, "ResolvedRefs", "the host is a Service"));
  if (!notes.applied) {
    out.conditions.push_back(condition("Applied", false, "NotConsulted", notes.why_not));
  } else if (!notes.limited.empty()) {
    out.conditions.push_back(
        condition("Applied", true, "SomeCallers", "for callers in namespace " + notes.limited));
  } else {
    out.conditions.push_back(condition("Applied", true, "Applied",
                                       options.whole_cluster ? "for every caller" : "for every caller on this agent"));
  }
  return out;
}

void add_policy(const NamespacePolicy& policy, ObjectStatus& out) {
  if (policy.findings.empty()) return;
  std::set<std::string> texts;
  for (const objects::Finding& finding : policy.findings) texts.insert(finding.path + ": " + finding.message);
  out.conditions.push_back(condition("PolicyValid", false, "InvalidValue", join(texts)));
  out.findings.insert(out.findings.end(), policy.findings.begin(), policy.findings.end());
}

// Of a pod that leaves something out of the mesh, or tries to.
void add_excluded(const PodExclusions& excluded, bool enrolled, ObjectStatus& out) {
  const std::string effective = objects::to_string(excluded.effective);
  if (!excluded.problem.empty())
    return out.conditions.push_back(condition("Excluded", false, "InvalidValue",
                                              excluded.problem + (effective.empty() ? "" : "; excluded is " + effective)));
  if (effective.empty()) return;
  out.conditions.push_back(enrolled ? condition("Excluded", true, "Excluded", effective)
                                    : condition("Excluded", false, "NotEnrolled", "the pod is not captured at all"));
}

}  // namespace

objects::Condition condition(std::string type, bool holds, std::string reason, std::string message) {
  return {std::move(type), holds ? "True" : "False", std::move(reason), std::move(message)};
}

ObjectStatus status_of(const objects::Object& object) {
  ObjectStatus out;
  out.key = status_key(objects::key_of(object));
  out.generation = object.meta.generation;
  out.file = object.file;
  out.api_version = object.api_version;
  out.uid = object.meta.uid;
  return out;
}

std::vector<ObjectStatus> virtual_service_statuses(const Store& store, const Layout& layout,
                                                   const StateOptions& options) {
  std::vector<ObjectStatus> out;
  for (const auto& [key, object] : store.virtual_services) {
    if (options.role == model::Role::kGateway && !layout.virtual_services.contains(key)) continue;
    out.push_back(virtual_service_status(*object, layout, options));
  }
  return out;
}

std::vector<ObjectStatus> gateway_statuses(const Store& store, const Layout& layout,
                                           const StateOptions& options) {
  std::vector<ObjectStatus> out;
  for (const auto& [key, object] : store.gateways) {
    const auto served = layout.gateways.find(key);
    if (options.role == model::Role::kNode) {
      const bool told = options.whole_cluster && served != layout.gateways.end();
      out.push_back(told ? told_gateway_status(*object, served->second, store) : seen_gateway_status(*object, store));
      continue;
    }
    if (served != layout.gateways.end())
      out.push_back(served_gateway_status(*object, served->second, options.closed_ports));
  }
  return out;
}

std::vector<ObjectStatus> destination_rule_statuses(const Store& store, const Layout& layout,
                                                    const StateOptions& options) {
  std::vector<ObjectStatus> out;
  for (const auto& [key, object] : store.destination_rules) {
    const auto notes = layout.destination_rules.find(key);
    if (notes != layout.destination_rules.end())
      out.push_back(destination_rule_status(*object, notes->second, options));
  }
  return out;
}

std::vector<ObjectStatus> enrolment_statuses(const Pods& pods) {
  std::vector<ObjectStatus> out;
  for (const auto& [name, judged] : pods.namespaces()) {
    if (!speaks_of_the_mesh(*judged.ns)) continue;
    ObjectStatus status = status_of(*judged.ns);
    const Enrolment& enrolment = judged.enrolment;
    status.conditions.push_back(
        condition("Enrolled", enrolment.enrolled, enrolment.reason, enrolment.message));
    status.findings = enrolment.findings;
    add_policy(judged.policy, status);
    out.push_back(std::move(status));
  }
  for (const auto& [key, judged] : pods.pods()) {
    if (!judged.local) continue;
    ObjectStatus status = status_of(*judged.pod);
    const Enrolment& enrolment = judged.enrolment;
    status.conditions.push_back(
        condition("Enrolled", enrolment.enrolled, enrolment.reason, enrolment.message));
    status.findings = enrolment.findings;
    if (judged.excluded) add_excluded(*judged.excluded, enrolment.enrolled, status);
    if (const std::string problem = pre_mesh_of(judged).problem; !problem.empty())
      status.conditions.push_back(condition("PreMeshPolicyValid", false, "InvalidValue", problem));
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace weft::state
