// Taking an installation away: what runs first, the hooks on the nodes, then the objects in the order opposite to apply.
#include <fmt/format.h>

#include <ranges>

#include "agent/install/installer.h"
#include "agent/install/readiness.h"
#include "agent/install/render.h"
#include "agent/nodes/capture.h"

namespace weft::install {
namespace {

using objects::Node;

constexpr base::Nanos kGoneLimit = std::chrono::seconds(120);
constexpr base::Nanos kCleanLimit = std::chrono::seconds(120);

bool is_kind(const Node& object, std::string_view kind) {
  return object.at({"kind"}).as_string() == kind;
}

bool is_agents(const Node& object) {
  return is_kind(object, "DaemonSet") && object.at({"metadata", "name"}).as_string() == "weft-agent";
}

// What users have put in goes with these.
bool is_kept(const Node& object) {
  return is_kind(object, "CustomResourceDefinition") ||
         (is_kind(object, "Namespace") && object.at({"metadata", "name"}).as_string() == "istio-system");
}

}  // namespace

base::Status Installer::wait_gone(const Node& object, base::Nanos limit) {
  const auto gone = [&] {
    const auto live = cluster_.read(object);
    return !live && live.error().not_found();
  };
  if (wait(limit, gone)) return {};
  return base::fail(base::ErrorKind::kTimeout,
                    fmt::format("{} is still there after {} s: see its finalizers and the pods it made", title_of(object),
                                limit / std::chrono::seconds(1)));
}

base::Status Installer::remove_one(const Node& object) {
  const auto live = cluster_.read(object);
  if (!live && live.error().not_found()) return {};
  if (!live) return std::unexpected(live.error());
  if (!is_ours(*live)) {
    say_(fmt::format("{} kept: not weft's", title_of(object)));
    return {};
  }
  if (auto done = cluster_.remove(object, is_kind(object, "DaemonSet")); !done) return std::unexpected(done.error());
  if (is_kind(object, "Namespace") || is_kind(object, "DaemonSet")) TRY(wait_gone(object, kGoneLimit));
  say_(fmt::format("{} removed", title_of(object)));
  return {};
}

base::Status Installer::clean_node(const Node& pod, base::Instant until) {
  const std::string& node = pod.at({"spec", "nodeName"}).as_string();
  std::string why = "its pod has not run";
  const auto done = [&] {
    const auto live = cluster_.read(pod);
    if (!live) return false;
    if (live->at({"status", "phase"}).as_string() == "Succeeded") return true;
    if (std::string trouble = trouble_of_pod(*live); !trouble.empty()) why = std::move(trouble);
    return false;
  };
  const bool clean = wait(until - clock_.now(), done);
  if (auto removed = cluster_.remove(pod); !removed) return std::unexpected(removed.error());
  if (!clean)
    return base::fail(base::ErrorKind::kTimeout, fmt::format("node {}: weft's hooks were not removed: {}", node, why));
  say_(fmt::format("node {}: hooks removed", node));
  return {};
}

// Every node at once, then one after the other is waited for.
base::Status Installer::clean_nodes(const Settings& settings) {
  const auto nodes = cluster_.list("v1", "Node", "", "kubernetes.io/os=linux");
  if (!nodes) return std::unexpected(nodes.error());
  std::vector<Node> pods;
  for (const Node& node : *nodes) {
    pods.push_back(removal_pod(settings, node.at({"metadata", "name"}).as_string()));
    if (auto removed = cluster_.remove(pods.back()); !removed) return std::unexpected(removed.error());
    TRY(wait_gone(pods.back(), kGoneLimit));
    if (auto made = cluster_.apply(pods.back(), false); !made) return std::unexpected(made.error());
  }
  std::string problems;
  const base::Instant until = clock_.now() + kCleanLimit;
  for (const Node& pod : pods)
    if (auto clean = clean_node(pod, until); !clean) problems += "\n  " + base::describe(clean.error());
  if (problems.empty()) return {};
  return base::fail(base::ErrorKind::kTimeout,
                    "nothing else was removed:" + problems + "\n  mend the node, or go on without by --force (a node's "
                    "reboot removes the hooks as well)");
}

// After control is gone, which would write them again: a node that nobody says anything of any more must not keep pods out.
base::Status Installer::forget_nodes() {
  const auto nodes = cluster_.list("v1", "Node", "", "");
  if (!nodes) return std::unexpected(nodes.error());
  for (const Node& node : *nodes) {
    const nodes::NodeFact fact = nodes::node_fact(node);
    if (fact.tainted()) {
      auto done = cluster_.patch(node, nodes::taints_patch(fact, nodes::TaintChange::kRemove));
      if (!done && !done.error().not_found()) return std::unexpected(done.error());
      say_(fmt::format("node {}: taint {} removed", fact.name, nodes::kTaint));
    }
    if (fact.status.empty()) continue;
    auto done = cluster_.release_status(node, nodes::kManager);
    if (!done && !done.error().not_found()) return std::unexpected(done.error());
    say_(fmt::format("node {}: condition {} removed", fact.name, nodes::kCondition));
  }
  return {};
}

base::Status Installer::remove(const Settings& settings, const Removal& removal) {
  const auto objects = render(settings);
  const auto ns = cluster_.read("v1", "Namespace", "", "weft-system");
  if (!ns && !ns.error().not_found()) return std::unexpected(ns.error());
  // Without the namespace there were no agents, and there is no place for pods.
  if (ns && is_ours(*ns)) {
    for (const Node& object : objects)
      if (is_agents(object)) TRY(remove_one(object));
    auto clean = clean_nodes(settings);
    if (!clean && !removal.force) return clean;
    if (!clean) say_("going on: " + base::describe(clean.error()));
  }
  for (const Node& object : objects | std::views::reverse) {
    if (!is_kept(object) || removal.purge) TRY(remove_one(object));
  }
  TRY(forget_nodes());
  if (!removal.purge)
    say_("definitions of Istio's kinds and namespace istio-system are kept, with the objects in them (--purge removes "
         "them)");
  return {};
}

}  // namespace weft::install
