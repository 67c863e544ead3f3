#include "agent/state/enrolment.h"

#include <array>
#include <optional>
#include <string_view>

namespace weft::state {
namespace {

constexpr std::string_view kDataplaneMode = "istio.io/dataplane-mode";
constexpr std::string_view kInjection = "istio-injection";
constexpr std::string_view kEnabled = "weft.mesh/enabled";
constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kSidecarStatus = "sidecar.istio.io/status";
// Capturing these would make the mesh depend on itself.
constexpr std::array<std::string_view, 2> kSystemNamespaces{"kube-system", "weft-system"};

std::optional<std::string> value_of(const objects::Labels& labels, std::string_view key) {
  const auto found = labels.find(std::string(key));
  if (found == labels.end()) return std::nullopt;
  return found->second;
}

objects::Finding unknown_value(const objects::Object& object, std::string_view label,
                               const std::string& value, std::string_view expected) {
  objects::Finding finding;
  finding.severity = objects::Severity::kWarning;
  finding.code = "UnsupportedValue";
  finding.file = object.file;
  finding.line = object.mark.line;
  finding.column = object.mark.column;
  finding.path = std::string("metadata.labels[").append(label).append("]");
  finding.message =
      "unknown value \"" + value + "\", the label counts as absent; use " + std::string(expected);
  finding.object = objects::key_of(object);
  return finding;
}

bool is_system(const std::string& name) {
  for (std::string_view system : kSystemNamespaces)
    if (name == system) return true;
  return false;
}

// A label with two good values: true, false, or nothing where it is absent or unknown.
std::optional<bool> read_switch(const objects::Object& object, std::string_view label, std::string_view yes,
                                std::string_view no, std::vector<objects::Finding>& findings) {
  const auto value = value_of(object.meta.labels, label);
  if (!value) return std::nullopt;
  if (*value == yes) return true;
  if (*value == no) return false;
  findings.push_back(unknown_value(object, label, *value, std::string(yes).append(" or ").append(no)));
  return std::nullopt;
}

Enrolment verdict(Enrolment so_far, bool enrolled, std::string reason, std::string message) {
  so_far.enrolled = enrolled;
  so_far.reason = std::move(reason);
  so_far.message = std::move(message);
  return so_far;
}

// "sidecar.istio.io/inject", a label, or in older manifests an annotation.
std::optional<std::string> inject_word(const objects::Pod& pod) {
  if (auto label = value_of(pod.meta.labels, kInject)) return label;
  return value_of(pod.meta.annotations, kInject);
}

bool by_injection_only(const objects::Namespace* ns) {
  if (!ns) return false;
  return value_of(ns->meta.labels, kInjection) == "enabled" &&
         value_of(ns->meta.labels, kDataplaneMode) != "ambient" &&
         value_of(ns->meta.labels, kEnabled) != "true";
}

}  // namespace

bool is_finished(const objects::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

bool speaks_of_the_mesh(const objects::Namespace& ns) {
  for (std::string_view label : {kDataplaneMode, kInjection, kEnabled})
    if (value_of(ns.meta.labels, label)) return true;
  for (const auto& [key, value] : ns.meta.annotations)
    if (key.starts_with("weft.mesh/")) return true;
  return false;
}

Enrolment judge(const objects::Namespace& ns) {
  Enrolment out;
  const auto own = read_switch(ns, kEnabled, "true", "false", out.findings);
  const auto ambient = read_switch(ns, kDataplaneMode, "ambient", "none", out.findings);
  const auto injection = read_switch(ns, kInjection, "enabled", "disabled", out.findings);
  const bool asked = own.value_or(false) || ambient.value_or(false) || injection.value_or(false);
  if (is_system(ns.meta.name) && asked) {
    return verdict(std::move(out), false, "SystemNamespace",
                   "the mesh depends on this namespace and never captures its pods; remove the label");
  }
  if (own == false) {
    return verdict(std::move(out), false, "OptedOut",
                   "label weft.mesh/enabled=false; set it to true to enrol");
  }
  if (own == true) return verdict(std::move(out), true, "Label", "label weft.mesh/enabled=true");
  if (ambient == true) return verdict(std::move(out), true, "Label", "label istio.io/dataplane-mode=ambient");
  if (injection == true) {
    return verdict(std::move(out), true, "Label", "label istio-injection=enabled; no sidecar is injected");
  }
  return verdict(
      std::move(out), false, "NotSelected",
      "no label enrols this namespace; set istio-injection=enabled, istio.io/dataplane-mode=ambient or "
      "weft.mesh/enabled=true");
}

Enrolment judge(const objects::Pod& pod, const objects::Namespace* ns, const Enrolment& judged) {
  Enrolment out;
  const auto mode = read_switch(pod, kDataplaneMode, "ambient", "none", out.findings);
  const auto inject = inject_word(pod);
  const bool injected_out = inject == "false" && by_injection_only(ns);
  const bool asked = mode.value_or(judged.enrolled || inject == "true");
  if (mode == false)
    return verdict(std::move(out), false, "OptedOut", "pod label istio.io/dataplane-mode=none");
  if (is_system(pod.meta.ns) && asked)
    return verdict(std::move(out), false, "SystemNamespace", judged.message);
  if (!asked)
    return verdict(std::move(out), false, "NotSelected", "neither the pod nor its namespace is enrolled");
  if (!mode && injected_out) {
    return verdict(std::move(out), false, "OptedOut",
                   "sidecar.istio.io/inject=false in a namespace enrolled by istio-injection");
  }
  if (pod.spec.host_network) {
    return verdict(std::move(out), false, "HostNetwork",
                   "the pod uses the node's network, which is not captured; its callers meet it as any host "
                   "outside the mesh");
  }
  if (value_of(pod.meta.annotations, kSidecarStatus)) {
    return verdict(
        std::move(out), false, "Sidecar",
        "the pod carries an Istio sidecar and is left alone; restart it without injection to enrol it");
  }
  if (mode == true)
    return verdict(std::move(out), true, "Label", "pod label istio.io/dataplane-mode=ambient");
  if (!judged.enrolled)
    return verdict(std::move(out), true, "Label", "sidecar.istio.io/inject=true; no sidecar is injected");
  return verdict(std::move(out), true, "Namespace", "namespace " + pod.meta.ns + ": " + judged.message);
}

}  // namespace weft::state
