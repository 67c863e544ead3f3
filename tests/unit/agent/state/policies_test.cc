#include "agent/state/policies.h"

#include <gtest/gtest.h>

#include "tests/support/object_builders.h"
#include "tests/support/policy_builders.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

state::NamespacePolicy policy(Labels annotations) {
  return state::policy_of(*a_namespace("dev", {}, std::move(annotations)));
}

TEST(NamespacePolicy, IsPermissiveAndFailsClosedByDefault) {
  const auto got = policy({});
  EXPECT_EQ(got.peer_mode, model::PeerMode::kPermissive);
  EXPECT_EQ(got.fail_mode, model::FailMode::kClosed);
  EXPECT_TRUE(got.rules.empty());
  EXPECT_TRUE(got.findings.empty());
}

TEST(NamespacePolicy, ReadsBothModes) {
  const auto got = policy({{"weft.mesh/peer-mode", "strict"}, {"weft.mesh/fail-mode", "open"}});
  EXPECT_EQ(got.peer_mode, model::PeerMode::kStrict);
  EXPECT_EQ(got.fail_mode, model::FailMode::kOpen);
}

TEST(NamespacePolicy, NamespacesAndRangesOfOneListAreAlternatives) {
  const auto got = policy({{"weft.mesh/allow-from", "dev, istio-system,10.0.0.0/8 , fd00::/8"}});
  ASSERT_EQ(got.rules.size(), 2u);
  EXPECT_EQ(got.rules[0].clauses[0][0], (model::PolicyMatch{.namespaces = test::patterns({"dev", "istio-system"})}));
  EXPECT_EQ(got.rules[1].clauses[0][0].source_ranges.size(), 2u);
  EXPECT_TRUE(got.rules[1].clauses[0][0].namespaces.empty());
  EXPECT_FALSE(got.rules[0].deny);
  EXPECT_NE(got.rules[0].id, got.rules[1].id);
}

TEST(NamespacePolicy, DenyRulesNameTheirAnnotation) {
  const auto got = policy({{"weft.mesh/deny-from", "guests"}});
  ASSERT_EQ(got.rules.size(), 1u);
  EXPECT_TRUE(got.rules[0].deny);
  EXPECT_EQ(got.rules[0].source, "Namespace dev annotation weft.mesh/deny-from (test.yaml:0), namespaces");
  EXPECT_EQ(got.rules[0].id, policy({{"weft.mesh/deny-from", "guests"}}).rules[0].id);
}

TEST(NamespacePolicy, AListThatCannotBeReadRefusesEverything) {
  for (const char* text : {"dev,Not_A_Namespace", "10.0.0.0/99", "", " , ", "*"}) {
    for (const char* key : {"weft.mesh/allow-from", "weft.mesh/deny-from"}) {
      const auto got = policy({{key, text}});
      ASSERT_EQ(got.findings.size(), 1u) << text;
      EXPECT_EQ(got.findings[0].severity, objects::Severity::kError);
      ASSERT_EQ(got.rules.size(), 1u) << text;
      EXPECT_TRUE(got.rules[0].deny);
      EXPECT_TRUE(got.rules[0].clauses.empty()) << "it speaks of everybody";
    }
  }
}

TEST(NamespacePolicy, AModeThatCannotBeReadIsTheClosedOne) {
  const auto got = policy({{"weft.mesh/peer-mode", "Strict"}, {"weft.mesh/fail-mode", "maybe"}});
  EXPECT_EQ(got.peer_mode, model::PeerMode::kStrict);
  EXPECT_EQ(got.fail_mode, model::FailMode::kClosed);
  EXPECT_EQ(got.findings.size(), 2u);
}

TEST(NamespacePolicy, ReachesEveryEnrolledPodOfTheNamespaceAndNoOther) {
  World world;
  world
      .put(a_namespace("dev", {{"weft.mesh/enabled", "true"}},
                       {{"weft.mesh/deny-from", "guests"}, {"weft.mesh/peer-mode", "strict"}}))
      .put(a_namespace("ops", {{"weft.mesh/enabled", "true"}}))
      .put(a_pod("dev", "a", {.ip = "10.1.1.5", .node = "node-1"}))
      .put(a_pod("ops", "b", {.ip = "10.1.1.6", .node = "node-1"}));
  const model::Snapshot& now = world.look();
  ASSERT_EQ(now.local_pods.size(), 2u);
  EXPECT_EQ(now.workloads[now.local_pods[0].workload].name, "a");
  ASSERT_EQ(now.local_pods[0].rules.size(), 1u);
  EXPECT_TRUE(now.policy_rules.at(now.local_pods[0].rules[0]).deny);
  EXPECT_EQ(now.local_pods[0].peer_mode, model::PeerMode::kStrict);
  EXPECT_TRUE(now.local_pods[0].peer_mode_source.starts_with("Namespace dev annotation weft.mesh/peer-mode"));
  EXPECT_TRUE(now.local_pods[1].rules.empty());
  EXPECT_EQ(now.local_pods[1].peer_mode, model::PeerMode::kPermissive);
}

TEST(NamespacePolicy, AnInvalidValueIsToldToTheNamespace) {
  World world;
  world.put(a_namespace("dev", {}, {{"weft.mesh/fail-mode", "maybe"}}));
  world.look();
  const std::string said = world.said("Namespace", "", "dev", "PolicyValid");
  EXPECT_TRUE(said.starts_with("False InvalidValue: ")) << said;
  EXPECT_NE(said.find("use open or closed"), std::string::npos) << said;
  ASSERT_NE(world.status("Namespace", "", "dev"), nullptr);
  EXPECT_EQ(world.status("Namespace", "", "dev")->findings.size(), 1u);
}

}  // namespace
}  // namespace weft::test
