#include "agent/nodes/capture.h"

#include <gtest/gtest.h>

#include "agent/parse/yaml.h"

namespace weft::nodes {
namespace {

using objects::Node;
using std::chrono::seconds;

Node read(const std::string& yaml) {
  return parse::read_yaml(yaml, "test").documents.at(0).root;
}

NodeFact node(const std::string& boot = "boot-2", const std::string& taints = "",
              const std::string& conditions = "") {
  return node_fact(
      read("metadata: {name: n1, resourceVersion: '7', labels: {kubernetes.io/os: linux}}\nspec: {taints: [" +
           taints + "]}\nstatus: {nodeInfo: {bootID: " + boot + "}, conditions: [" + conditions + "]}\n"));
}

AgentFact agent(const std::string& armed, const std::string& state = "running: {startedAt: x}",
                const std::string& more = "") {
  const std::string said = armed.empty() ? "" : "weft.mesh/armed-in-boot: " + armed;
  return agent_fact(read("metadata: {name: weft-agent-x, annotations: {" + said + "}" + more +
                         "}\nspec: {nodeName: n1}\nstatus: {containerStatuses: [{name: weft-agent, state: {" +
                         state + "}}]}\n"));
}

const std::string kOurTaint = "{key: weft.mesh/agent-not-ready, effect: NoSchedule}";
const std::string kOther = "{key: dedicated, value: gpu, effect: NoExecute}";

// The reason that the condition gets at each moment, and what becomes of the taint.
class Lifetime : public testing::Test {
 protected:
  std::string at(int second, const NodeFact& fact, const std::vector<AgentFact>& agents) {
    now_ = base::Instant{} + seconds(second);
    fact_ = fact;
    return capture_.update(fact, judge(fact, agents), now_).reason;
  }
  TaintChange taint(TaintMode mode) { return capture_.taint_change(fact_, mode, now_); }

  NodeCapture capture_;
  NodeFact fact_;
  base::Instant now_{};
};

TEST(Judge, a_node_is_ready_when_its_running_agent_is_armed_in_the_boot_that_the_kubelet_reports) {
  EXPECT_TRUE(judge(node(), {agent("boot-2")}).ready);
  EXPECT_EQ(judge(node(), {}).reason, "NoAgent");
  EXPECT_EQ(judge(node(), {agent("")}).reason, "NotArmed");
  EXPECT_EQ(judge(node(), {agent("boot-1")}).reason, "NotSinceBoot");
  EXPECT_EQ(judge(node(), {agent("boot-2", "waiting: {reason: CrashLoopBackOff}")}).reason,
            "AgentNotRunning");
  EXPECT_EQ(judge(node(), {agent("boot-2", "running: {}", ", deletionTimestamp: now")}).reason,
            "AgentNotRunning");
}

TEST(Judge, of_two_agents_the_one_that_is_armed_counts) {
  EXPECT_TRUE(judge(node(), {agent("boot-2", "terminated: {}"), agent("boot-2")}).ready);
  EXPECT_TRUE(judge(node(), {agent(""), agent("boot-2")}).ready);
}

TEST(Judge, what_is_not_ready_says_what_to_look_at) {
  for (const auto& agents : std::vector<std::vector<AgentFact>>{{}, {agent("")}, {agent("boot-1")}})
    EXPECT_NE(judge(node(), agents).message.find("see kubectl"), std::string::npos);
}

TEST_F(Lifetime,
       a_node_that_was_booted_anew_is_not_ready_at_once_though_its_agents_pod_still_looks_as_before) {
  EXPECT_EQ(at(0, node("boot-1"), {agent("boot-1")}), "ProgramsAttached");
  EXPECT_EQ(at(1, node("boot-2"), {agent("boot-1")}), "NotSinceBoot");
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kAdd);
  EXPECT_EQ(taint(TaintMode::kRemove), TaintChange::kNone);
  EXPECT_EQ(at(9, node("boot-2", kOurTaint), {agent("boot-2")}), "ProgramsAttached");
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kRemove);
  EXPECT_EQ(taint(TaintMode::kRemove), TaintChange::kRemove);
  EXPECT_EQ(taint(TaintMode::kOff), TaintChange::kNone);
}

TEST_F(Lifetime, an_agent_that_is_replaced_is_not_felt_and_one_that_stays_away_is) {
  at(0, node(), {agent("boot-2")});
  EXPECT_EQ(at(1, node(), {}), "ProgramsAttached");
  EXPECT_EQ(at(3, node(), {agent("")}), "ProgramsAttached");
  EXPECT_EQ(at(4, node(), {agent("boot-2")}), "ProgramsAttached");
  EXPECT_EQ(at(10, node(), {}), "ProgramsAttached");
  EXPECT_EQ(at(24, node(), {}), "ProgramsAttached") << "the time begins anew";
  EXPECT_EQ(at(25, node(), {}), "NoAgent");
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kNone);
  at(69, node(), {});
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kNone);
  at(70, node(), {});
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kAdd);
}

TEST_F(Lifetime, a_node_without_agent_from_the_first_moment_on_is_not_ready_and_tainted_at_once) {
  EXPECT_EQ(at(0, node(), {}), "NoAgent");
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kAdd);
  EXPECT_EQ(taint(TaintMode::kRemove), TaintChange::kNone);
}

TEST_F(Lifetime, a_control_that_starts_while_an_agent_is_replaced_goes_on_from_what_the_object_says) {
  const std::string said =
      "{type: weft.mesh/CaptureReady, status: 'True', reason: ProgramsAttached, message: in boot-2}";
  EXPECT_EQ(at(0, node("boot-2", "", said), {}), "ProgramsAttached");
  EXPECT_EQ(at(14, node("boot-2", "", said), {}), "ProgramsAttached");
  EXPECT_EQ(at(15, node("boot-2", "", said), {}), "NoAgent");
  NodeCapture other;
  EXPECT_EQ(other.update(node("boot-2", "", said), judge(node("boot-2"), {agent("boot-1")}), {}).reason,
            "NotSinceBoot");
}

TEST_F(Lifetime, a_control_that_starts_after_a_boot_does_not_believe_what_was_said_before_it) {
  const std::string said =
      "{type: weft.mesh/CaptureReady, status: 'True', reason: ProgramsAttached, message: in boot-1}";
  EXPECT_EQ(at(0, node("boot-2", "", said), {}), "NoAgent");
  EXPECT_EQ(taint(TaintMode::kManage), TaintChange::kAdd) << "nobody was ready in this boot";
}

TEST(Patches, a_condition_keeps_the_time_of_its_transition_while_its_status_stays) {
  const std::string said =
      "{type: Ready, status: 'True'}, {type: weft.mesh/CaptureReady, status: 'False', reason: NoAgent, "
      "message: m, "
      "lastTransitionTime: '2026-11-30T00:00:00Z'}";
  const auto condition = [&](bool ready) {
    const Node patch = condition_patch(node("b", "", said), {ready, "Why", "how"}, "2026-11-30T01:00:00Z");
    EXPECT_EQ(patch.at({"status", "conditions"}).items().size(), 1u)
        << "those of others are not ours to apply";
    return patch.at({"status", "conditions"}).items().at(0);
  };
  EXPECT_EQ(condition(false).at({"lastTransitionTime"}).as_string(), "2026-11-30T00:00:00Z");
  EXPECT_EQ(condition(true).at({"lastTransitionTime"}).as_string(), "2026-11-30T01:00:00Z");
  EXPECT_EQ(condition(true).at({"status"}).as_string(), "True");
  EXPECT_EQ(condition(true).at({"type"}).as_string(), kCondition);
}

TEST(Patches, taints_of_others_stay_and_a_node_that_changed_meanwhile_is_left_alone) {
  const NodeFact both = node("b", kOther + ", " + kOurTaint);
  const Node removed = taints_patch(both, TaintChange::kRemove);
  ASSERT_EQ(removed.at({"spec", "taints"}).items().size(), 1u);
  EXPECT_EQ(removed.at({"spec", "taints"}).items()[0].at({"key"}).as_string(), "dedicated");
  EXPECT_EQ(removed.at({"metadata", "resourceVersion"}).as_string(), "7");
  const Node added = taints_patch(node("b", kOther), TaintChange::kAdd);
  ASSERT_EQ(added.at({"spec", "taints"}).items().size(), 2u);
  EXPECT_TRUE(taints_patch(node("b", kOurTaint), TaintChange::kRemove).at({"spec", "taints"}).is_null());
  EXPECT_EQ(taints_patch(both, TaintChange::kAdd).at({"spec", "taints"}).items().size(), 2u);
}

TEST(Facts, hostile_or_half_made_objects_make_no_ready_node) {
  EXPECT_FALSE(judge(node_fact(Node()), {agent_fact(Node())}).ready);
  EXPECT_FALSE(judge(node_fact(read("status: {conditions: 5, nodeInfo: []}\nspec: {taints: x}")), {}).ready);
  // No boot id and no annotation are not the same boot.
  EXPECT_FALSE(judge(node_fact(Node()), {agent("")}).ready);
}

}  // namespace
}  // namespace weft::nodes
