#include "agent/nodes/capture.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/annotations.h"

namespace weft::nodes {
namespace {

using objects::Node;

Verdict not_ready(std::string reason, std::string message) {
  return {.ready = false, .reason = std::move(reason), .message = std::move(message)};
}

bool is_ours(const Node& taint) {
  return taint.at({"key"}).as_string() == kTaint;
}

// Of several (an upgrade, a pod that does not end) the one that says the most.
const AgentFact* best_of(const std::vector<AgentFact>& agents, const std::string& boot_id) {
  const AgentFact* best = nullptr;
  const auto weight = [&](const AgentFact& one) {
    return (one.running ? 2 : 0) + (one.armed == boot_id ? 1 : 0);
  };
  for (const AgentFact& one : agents)
    if (best == nullptr || weight(one) > weight(*best)) best = &one;
  return best;
}

bool says_ready_in_this_boot(const NodeFact& node) {
  return node.status == "True" && !node.boot_id.empty() && node.message.contains(node.boot_id);
}

}  // namespace

std::optional<TaintMode> parse_taint_mode(std::string_view word) {
  if (word == "off") return TaintMode::kOff;
  if (word == "remove") return TaintMode::kRemove;
  if (word == "manage") return TaintMode::kManage;
  return std::nullopt;
}

bool NodeFact::tainted() const {
  return std::ranges::any_of(taints, is_ours);
}

NodeFact node_fact(const Node& node) {
  NodeFact out;
  out.name = node.at({"metadata", "name"}).as_string();
  out.resource_version = node.at({"metadata", "resourceVersion"}).as_string();
  out.boot_id = node.at({"status", "nodeInfo", "bootID"}).as_string();
  const std::string& os = node.at({"metadata", "labels", "kubernetes.io/os"}).as_string();
  out.linux = os.empty() || os == "linux";
  out.taints = node.at({"spec", "taints"}).items();
  for (const Node& one : node.at({"status", "conditions"}).items()) {
    if (one.at({"type"}).as_string() != kCondition) continue;
    out.status = one.at({"status"}).as_string();
    out.reason = one.at({"reason"}).as_string();
    out.message = one.at({"message"}).as_string();
    out.transition = one.at({"lastTransitionTime"}).as_string();
  }
  return out;
}

AgentFact agent_fact(const Node& pod) {
  AgentFact out;
  out.pod = pod.at({"metadata", "name"}).as_string();
  out.node = pod.at({"spec", "nodeName"}).as_string();
  out.armed = pod.at({"metadata", "annotations", objects::kArmedAnnotation}).as_string();
  if (!pod.at({"metadata", "deletionTimestamp"}).is_null()) return out;
  for (const Node& one : pod.at({"status", "containerStatuses"}).items())
    if (one.at({"name"}).as_string() == "weft-agent") out.running = one.at({"state", "running"}).is_mapping();
  return out;
}

Verdict judge(const NodeFact& node, const std::vector<AgentFact>& agents) {
  const AgentFact* const agent = best_of(agents, node.boot_id);
  if (agent == nullptr)
    return not_ready("NoAgent",
                     "no pod of DaemonSet weft-system/weft-agent is on this node: pods of the mesh wait at "
                     "their start, or "
                     "start outside it where weft-cni was never installed; see kubectl describe ds -n "
                     "weft-system weft-agent");
  const std::string see = fmt::format("; see kubectl logs -n weft-system {}", agent->pod);
  if (!agent->armed.empty() && agent->armed != node.boot_id)
    return not_ready("NotSinceBoot",
                     "the node was booted anew and the agent's programs are not attached in this boot yet: "
                     "pods of the mesh wait at their start" +
                         see);
  if (!agent->running)
    return not_ready("AgentNotRunning",
                     "the agent does not run: pods that run stay captured, pods of the mesh wait at their "
                     "start" +
                         see);
  if (agent->armed.empty())
    return not_ready("NotArmed",
                     "the agent runs, but has not attached its programs, not seen all objects yet, or is not "
                     "asked by the container runtime" +
                         see);
  // The boot is in the message for the next control, which remembers nothing.
  return {.ready = true,
          .reason = "ProgramsAttached",
          .message = fmt::format(
              "programs are attached in boot {}, and every pod of the mesh that starts is captured or waits",
              node.boot_id)};
}

const Verdict& NodeCapture::update(const NodeFact& node, const Verdict& now, base::Instant at) {
  if (now.ready) {
    boot_ = node.boot_id;
    gone_since_.reset();
    return said_ = now;
  }
  if (!gone_since_) gone_since_ = at;
  // A control that has just begun goes on from what the one before it has written.
  if (said_.reason.empty() && says_ready_in_this_boot(node)) {
    said_ = {.ready = true, .reason = node.reason, .message = node.message};
    boot_ = node.boot_id;
  }
  const bool may_be_changing = now.reason != "NotSinceBoot";
  if (said_.ready && may_be_changing && boot_ == node.boot_id && at - *gone_since_ < kGrace) return said_;
  return said_ = now;
}

TaintChange NodeCapture::taint_change(const NodeFact& node, TaintMode mode, base::Instant at) const {
  if (mode == TaintMode::kOff || said_.reason.empty()) return TaintChange::kNone;
  if (said_.ready) return node.tainted() ? TaintChange::kRemove : TaintChange::kNone;
  if (mode != TaintMode::kManage || node.tainted()) return TaintChange::kNone;
  const bool was_ready_in_this_boot = !boot_.empty() && boot_ == node.boot_id;
  if (was_ready_in_this_boot && gone_since_ && at - *gone_since_ < kAgentGone) return TaintChange::kNone;
  return TaintChange::kAdd;
}

bool says(const NodeFact& node, const Verdict& verdict) {
  return node.status == (verdict.ready ? "True" : "False") && node.reason == verdict.reason &&
         node.message == verdict.message;
}

Node condition_patch(const NodeFact& node, const Verdict& verdict, const std::string& now) {
  const std::string status = verdict.ready ? "True" : "False";
  Node condition = Node::mapping();
  condition.set("type", Node::string(std::string(kCondition)));
  condition.set("status", Node::string(status));
  condition.set("reason", Node::string(verdict.reason));
  condition.set("message", Node::string(verdict.message));
  condition.set("lastHeartbeatTime", Node::string(now));
  condition.set("lastTransitionTime",
                Node::string(node.status == status && !node.transition.empty() ? node.transition : now));
  Node out = Node::mapping();
  out.set("apiVersion", Node::string("v1"));
  out.set("kind", Node::string("Node"));
  out["metadata"].set("name", Node::string(node.name));
  out["status"]["conditions"].append(std::move(condition));
  return out;
}

Node taints_patch(const NodeFact& node, TaintChange change) {
  Node taints = Node::sequence();
  for (const Node& taint : node.taints)
    if (!is_ours(taint)) taints.append(taint);
  if (change == TaintChange::kAdd) {
    Node taint = Node::mapping();
    taint.set("key", Node::string(std::string(kTaint)));
    taint.set("effect", Node::string("NoSchedule"));
    taints.append(std::move(taint));
  }
  Node out = Node::mapping();
  out["metadata"].set("resourceVersion", Node::string(node.resource_version));
  out["spec"].set("taints", taints.items().empty() ? Node() : std::move(taints));
  return out;
}

}  // namespace weft::nodes
