#include "agent/kube/resource.h"

#include <fmt/format.h>

#include <array>

namespace weft::kube {
namespace {

struct Row {
  std::string_view group, versions, plural, kind;  // versions: as served, "v1|v1beta1"
  bool namespaced;
};
constexpr std::string_view kIstio = "v1|v1beta1|v1alpha3";
constexpr std::array kKnown = {
    Row{"", "v1", "namespaces", "Namespace", false},
    Row{"", "v1", "nodes", "Node", false},
    Row{"", "v1", "pods", "Pod", true},
    Row{"", "v1", "services", "Service", true},
    Row{"", "v1", "serviceaccounts", "ServiceAccount", true},
    Row{"", "v1", "configmaps", "ConfigMap", true},
    Row{"", "v1", "secrets", "Secret", true},
    Row{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true},
    Row{"apps", "v1", "deployments", "Deployment", true},
    Row{"apps", "v1", "daemonsets", "DaemonSet", true},
    Row{"apps", "v1", "replicasets", "ReplicaSet", true},
    Row{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true},
    Row{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true},
    Row{"rbac.authorization.k8s.io", "v1", "roles", "Role", true},
    Row{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true},
    Row{"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
    Row{"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false},
    Row{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false},
    Row{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false},
    Row{"coordination.k8s.io", "v1", "leases", "Lease", true},
    Row{"events.k8s.io", "v1", "events", "Event", true},
    Row{"authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false},
    Row{"authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", false},
    Row{"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false},
    Row{"networking.istio.io", kIstio, "gateways", "Gateway", true},
    Row{"networking.istio.io", kIstio, "virtualservices", "VirtualService", true},
    Row{"networking.istio.io", kIstio, "destinationrules", "DestinationRule", true},
    Row{"networking.istio.io", kIstio, "serviceentries", "ServiceEntry", true},
    Row{"networking.istio.io", kIstio, "sidecars", "Sidecar", true},
    Row{"networking.istio.io", kIstio, "workloadentries", "WorkloadEntry", true},
    Row{"networking.istio.io", kIstio, "workloadgroups", "WorkloadGroup", true},
    Row{"security.istio.io", "v1|v1beta1", "peerauthentications", "PeerAuthentication", true},
    Row{"security.istio.io", "v1|v1beta1", "requestauthentications", "RequestAuthentication", true},
    Row{"security.istio.io", "v1|v1beta1", "authorizationpolicies", "AuthorizationPolicy", true},
    Row{"weft.mesh", "v1alpha1", "captureexclusions", "CaptureExclusion", true},
    Row{"telemetry.istio.io", "v1|v1alpha1", "telemetries", "Telemetry", true},
    Row{"gateway.networking.k8s.io", "v1|v1beta1", "gatewayclasses", "GatewayClass", false},
    Row{"gateway.networking.k8s.io", "v1|v1beta1", "gateways", "Gateway", true},
    Row{"gateway.networking.k8s.io", "v1|v1beta1", "httproutes", "HTTPRoute", true},
    Row{"gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute", true},
    Row{"gateway.networking.k8s.io", "v1|v1beta1", "referencegrants", "ReferenceGrant", true},
};

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t end = words.find('|');
    if (words.substr(0, end) == word) return true;
    if (end == std::string_view::npos) return false;
    words.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

std::string Resource::api_version() const {
  return group.empty() ? version : group + "/" + version;
}

std::string Resource::path(std::string_view ns) const {
  std::string out = group.empty() ? "/api/" : "/apis/";
  if (!group.empty()) out += percent_encode(group) + "/";
  out += percent_encode(version) + "/";
  if (namespaced && !ns.empty()) out += "namespaces/" + percent_encode(ns) + "/";
  return out + percent_encode(plural);
}

std::string Resource::path(std::string_view ns, std::string_view name, std::string_view subresource) const {
  std::string out = path(ns) + "/" + percent_encode(name);
  if (!subresource.empty()) out += "/" + percent_encode(subresource);
  return out;
}

bool is_path_segment(std::string_view name) {
  return !name.empty() && name.size() <= 253 && name != "." && name != ".." && !name.contains('/') &&
         !name.contains('%');
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

GroupVersion split_api_version(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {"", std::string(api_version)};
  return {std::string(api_version.substr(0, slash)), std::string(api_version.substr(slash + 1))};
}

std::optional<Resource> known_resource(std::string_view api_version, std::string_view kind) {
  const GroupVersion gv = split_api_version(api_version);
  for (const Row& row : kKnown)
    if (row.kind == kind && row.group == gv.group && has_word(row.versions, gv.version))
      return Resource{gv.group, gv.version, std::string(row.plural), std::string(row.kind), row.namespaced};
  return std::nullopt;
}

ObjectName name_of(const objects::Node& object) {
  return {object.at({"metadata", "namespace"}).as_string(), object.at({"metadata", "name"}).as_string()};
}

}  // namespace weft::kube
