#include "agent/install/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>

#include "agent/install/crd.h"
#include "agent/install/installer.h"
#include "agent/install/readiness.h"
#include "agent/install/render.h"
#include "agent/nodes/capture.h"
#include "agent/objects/annotations.h"

namespace weft::install {
namespace {

using objects::Node;

constexpr int kLeastMinor = 30;  // of Kubernetes 1: appArmorProfile is a field of pods since
constexpr size_t kMostNames = 10;

// What a check found; the first error or warning wins.
struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string reason, hint, text;  // text: replaces the question's
};

Finding error(std::string reason, std::string hint) {
  return {Verdict::kError, std::move(reason), std::move(hint), {}};
}

// A sentence with the first few of many names.
std::string names_text(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMostNames);
  const std::vector<std::string> first(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

// Runs questions and takes the time. Owner: one of the calls below.
class Questions {
 public:
  explicit Questions(const base::Clock& clock) : clock_(clock) {}

  void ask(std::string id, const char* section, std::string text, const std::function<Finding()>& answer) {
    const base::Instant begin = clock_.now();
    Finding found = answer();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - begin);
    out.push_back({std::move(id), section, found.text.empty() ? std::move(text) : std::move(found.text), found.verdict,
                   std::move(found.reason), std::move(found.hint), took.count()});
  }

  std::vector<Check> out;

 private:
  const base::Clock& clock_;
};

Finding unanswered(const kube::ApiError& failed) {
  return error(base::describe(failed), "see that this account may read it, and that the API server is well");
}

// --- before ---------------------------------------------------------------------------------------------------------

Finding api_version(Cluster& cluster) {
  const auto version = cluster.discovery().server_version();
  if (!version) return unanswered(version.error());
  Finding found;
  found.text = "Kubernetes " + version->git_version;
  if (version->major == 1 && version->minor < kLeastMinor)
    found = {Verdict::kError, fmt::format("at least 1.{} is needed", kLeastMinor), "upgrade the cluster", found.text};
  return found;
}

// The rights that an installation needs, as the kinds it consists of ask for them.
Finding api_rights(Cluster& cluster, const Settings& settings) {
  std::set<std::string> asked;
  std::vector<std::string> refused;
  for (const Node& object : render(settings)) {
    const std::string& ns = object.at({"metadata", "namespace"}).as_string();
    const auto resource = cluster.resource_of(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string());
    if (!resource) return unanswered(resource.error());
    for (const char* verb : {"get", "create", "patch", "delete"}) {
      const std::string question = fmt::format("{} {}{}{}", verb, resource->plural, ns.empty() ? "" : " in ", ns);
      if (!asked.insert(question).second) continue;
      const auto may = cluster.may(verb, *resource, ns);
      if (!may) return unanswered(may.error());
      if (!*may) refused.push_back(question);
    }
  }
  if (refused.empty()) return {};
  return error("this account may not " + names_text(refused), "use an account that may, such as a cluster's admin");
}

Finding definitions_of_others(Cluster& cluster) {
  std::vector<std::string> others;
  for (const CrdKind& kind : crd_kinds()) {
    const auto live = cluster.read("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", crd_name(kind));
    if (!live && !live.error().not_found()) return unanswered(live.error());
    if (live && !is_ours(*live)) others.push_back(crd_name(kind));
  }
  Finding found;
  if (others.empty()) return found;
  found.text = fmt::format("{} definitions of Istio's kinds are another's: they serve as they are", others.size());
  return found;
}

// Reference httpgo.md 3: two kinds of one name.
Finding second_gateway_kind(Cluster& cluster) {
  const auto versions = cluster.discovery().versions("gateway.networking.k8s.io");
  if (!versions && versions.error().not_found()) return {};
  if (!versions) return unanswered(versions.error());
  return {Verdict::kWarning, "the Gateway API is installed too, so `kubectl get gateway` may list its objects",
          "say `kubectl get gw` for Istio's", {}};
}

Finding kernels_of_nodes(Cluster& cluster) {
  const auto nodes = cluster.list("v1", "Node", "", "kubernetes.io/os=linux");
  if (!nodes) return unanswered(nodes.error());
  std::vector<std::string> old;
  for (const Node& node : *nodes) {
    const std::string& release = node.at({"status", "nodeInfo", "kernelVersion"}).as_string();
    if (!kernel_is_at_least(release, 5, 15)) old.push_back(node.at({"metadata", "name"}).as_string() + " " + release);
  }
  if (nodes->empty()) return error("there is no Linux node", "add one");
  if (old.empty()) return {};
  return error("older: " + names_text(old), "keep enrolled pods off these nodes, or upgrade them");
}

// What apply() would stumble over.
Finding other_meshes(Cluster& cluster, const Settings& settings) {
  std::vector<std::string> others;
  for (const Node& object : render(settings)) {
    const std::string& kind = object.at({"kind"}).as_string();
    if (kind != "Deployment" && kind != "DaemonSet" && kind != "Service") continue;
    const auto live = cluster.read(object);
    if (!live && !live.error().not_found()) return unanswered(live.error());
    if (live && !is_ours(*live)) others.push_back(title_of(object));
  }
  if (others.empty()) return {};
  return error(names_text(others) + " is there and not weft's", "remove what another mesh has installed");
}

// --- after ----------------------------------------------------------------------------------------------------------

Finding is_ready(Cluster& cluster, std::string_view api_version, std::string_view kind, std::string_view ns,
                 std::string_view name) {
  const auto live = cluster.read(api_version, kind, ns, name);
  if (!live && live.error().not_found()) return error("it is missing", "weftctl install");
  if (!live) return unanswered(live.error());
  const Readiness state = readiness_of(*live);
  if (state.ready) return {};
  return error(state.why, fmt::format("kubectl -n {} get pods; `weftctl verify-install` names what they wait for", ns));
}

Finding definitions_established(Cluster& cluster) {
  std::vector<std::string> wrong;
  for (const CrdKind& kind : crd_kinds()) {
    const auto live = cluster.read("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", crd_name(kind));
    if (!live && !live.error().not_found()) return unanswered(live.error());
    if (!live || !readiness_of(*live).ready) wrong.push_back(crd_name(kind));
  }
  if (wrong.empty()) return {};
  return error("missing or not established: " + names_text(wrong), "weftctl install");
}

Finding authority_root(Cluster& cluster, std::string_view ns) {
  const auto root = cluster.read("v1", "ConfigMap", ns, "weft-ca-root");
  if (!root && root.error().not_found())
    return error("configmap/weft-ca-root is missing: no certificate can be given", "see the log of weft-control's leader");
  if (!root) return unanswered(root.error());
  if (root->at({"data", "root-cert.pem"}).as_string().empty())
    return error("configmap/weft-ca-root holds no root-cert.pem", "see the log of weft-control's leader");
  return {};
}

bool enrols(const Node& ns) {
  const Node& labels = ns.at({"metadata", "labels"});
  return labels.at({"istio-injection"}).as_string() == "enabled" ||
         labels.at({"istio.io/dataplane-mode"}).as_string() == "ambient" ||
         labels.at({"weft.mesh/enabled"}).as_string() == "true";
}

// Left out on purpose: opted out, on the node's own network, with a sidecar, or at its end.
bool should_be_captured(const Node& pod) {
  const std::string& phase = pod.at({"status", "phase"}).as_string();
  return phase == "Running" && !pod.at({"spec", "hostNetwork"}).as_bool() &&
         pod.at({"metadata", "labels", "istio.io/dataplane-mode"}).as_string() != "none" &&
         pod.at({"metadata", "annotations", "sidecar.istio.io/status"}).is_null();
}

Finding pods_captured(Cluster& cluster) {
  const auto namespaces = cluster.list("v1", "Namespace", "", "");
  if (!namespaces) return unanswered(namespaces.error());
  std::vector<std::string> free;
  size_t captured = 0;
  for (const Node& ns : *namespaces) {
    if (!enrols(ns)) continue;
    const std::string& name = ns.at({"metadata", "name"}).as_string();
    const auto pods = cluster.list("v1", "Pod", name, "");
    if (!pods) return unanswered(pods.error());
    for (const Node& pod : *pods) {
      if (!should_be_captured(pod)) continue;
      const bool is = pod.at({"metadata", "annotations", objects::kRedirectionAnnotation}).as_string() == "enabled";
      captured += is ? 1 : 0;
      if (!is) free.push_back(name + "/" + pod.at({"metadata", "name"}).as_string());
    }
  }
  Finding found;
  found.text = fmt::format("{} pods of enrolled namespaces are captured", captured);
  if (free.empty()) return found;
  return {Verdict::kError, "not captured: " + names_text(free),
          "kubectl describe the pod: its Events (MeshCaptureFailed) say why", found.text};
}

Finding nodes_capture(Cluster& cluster) {
  const auto nodes = cluster.list("v1", "Node", "", "kubernetes.io/os=linux");
  if (!nodes) return unanswered(nodes.error());
  std::vector<std::string> wrong;
  for (const Node& node : *nodes) {
    const nodes::NodeFact fact = nodes::node_fact(node);
    if (fact.status != "True") wrong.push_back(fact.name + (fact.reason.empty() ? "" : " (" + fact.reason + ")"));
  }
  if (wrong.empty()) return {};
  return error(fmt::format("{} is not True of {}", nodes::kCondition, names_text(wrong)),
               "kubectl describe node: the condition's message says what to look at");
}

// Where the agents have attached their hooks, by their own word.
Finding attach_points(Cluster& cluster) {
  const auto agents = cluster.list("v1", "Pod", "weft-system", "app=weft-agent");
  if (!agents) return unanswered(agents.error());
  std::map<std::string, std::vector<std::string>> by_place;
  std::vector<std::string> silent;
  for (const Node& agent : *agents) {
    const std::string& node = agent.at({"spec", "nodeName"}).as_string();
    const std::string& place = agent.at({"metadata", "annotations", objects::kAttachedAnnotation}).as_string();
    (place.empty() ? silent : by_place[place]).push_back(node);
  }
  if (!silent.empty())
    return error("the agent has not said where on " + names_text(silent), "kubectl logs -n weft-system the node's weft-agent");
  Finding found;
  for (auto& [place, nodes] : by_place) {
    std::ranges::sort(nodes);
    found.text += fmt::format("{}{} of {}", found.text.empty() ? "hooks are attached at " : "; ", place, names_text(nodes));
  }
  return found;
}

Finding fail_mode(const Settings& settings) {
  if (settings.cni_fail_mode == "closed") return {};
  return {Verdict::kWarning, "cni.failMode is open: a pod that starts while its node's agent is away is outside the mesh until "
                             "the agent is back", "weftctl upgrade --set cni.failMode=closed", ""};
}

}  // namespace

std::vector<Check> check_before(Cluster& cluster, const Settings& settings, const base::Clock& clock) {
  constexpr const char* kApi = "Kubernetes API";
  constexpr const char* kCluster = "Cluster";
  Questions questions(clock);
  questions.ask("api-version", kApi, "the API server answers", [&] { return api_version(cluster); });
  if (questions.out.back().verdict != Verdict::kOk) return questions.out;
  questions.ask("api-rights", kApi, "this account may install", [&] { return api_rights(cluster, settings); });
  questions.ask("crd-owner", kApi, "definitions of Istio's kinds are weft's or still to come",
                [&] { return definitions_of_others(cluster); });
  questions.ask("crd-gateway-api", kApi, "`kubectl get gateway` means Istio's kind",
                [&] { return second_gateway_kind(cluster); });
  questions.ask("cluster-kernels", kCluster, "every Linux node has a kernel of at least 5.15",
                [&] { return kernels_of_nodes(cluster); });
  questions.ask("cluster-other-mesh", kCluster, "no other mesh holds the names that weft needs",
                [&] { return other_meshes(cluster, settings); });
  return questions.out;
}

std::vector<Check> check_installed(Cluster& cluster, const Settings& settings, const base::Clock& clock) {
  constexpr const char* kApi = "Kubernetes API";
  constexpr const char* kParts = "Parts";
  constexpr const char* kMesh = "Mesh";
  Questions questions(clock);
  questions.ask("api-version", kApi, "the API server answers", [&] { return api_version(cluster); });
  if (questions.out.back().verdict != Verdict::kOk) return questions.out;
  questions.ask("crd-established", kApi, "Istio's kinds are served", [&] { return definitions_established(cluster); });
  questions.ask("crd-gateway-api", kApi, "`kubectl get gateway` means Istio's kind",
                [&] { return second_gateway_kind(cluster); });
  for (const Node& object : render(settings)) {
    const std::string& kind = object.at({"kind"}).as_string();
    if (kind != "Deployment" && kind != "DaemonSet") continue;
    const std::string& name = object.at({"metadata", "name"}).as_string();
    const std::string& ns = object.at({"metadata", "namespace"}).as_string();
    questions.ask("ready-" + name, kParts, fmt::format("{} {} is ready", kind, name),
                  [&] { return is_ready(cluster, object.at({"apiVersion"}).as_string(), kind, ns, name); });
  }
  questions.ask("ca-root", kMesh, "the root of the certificate authority is published",
                [&] { return authority_root(cluster, "weft-system"); });
  questions.ask("ca-root-gateway", kMesh, "the gateway can read it",
                [&] { return authority_root(cluster, "istio-system"); });
  questions.ask("nodes-capture", kMesh, "every Linux node has its programs attached since it was booted",
                [&] { return nodes_capture(cluster); });
  questions.ask("nodes-attached", kMesh, "hooks are attached where the pods are", [&] { return attach_points(cluster); });
  questions.ask("cni-fail-mode", kMesh, "a pod of the mesh starts captured or not at all",
                [&] { return fail_mode(settings); });
  questions.ask("pods-captured", kMesh, "pods of enrolled namespaces are captured",
                [&] { return pods_captured(cluster); });
  return questions.out;
}

}  // namespace weft::install
