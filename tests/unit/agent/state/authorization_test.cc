#include "agent/state/authorization.h"

#include <gtest/gtest.h>

#include "tests/support/manifests.h"
#include "tests/support/policy_builders.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

objects::ObjectPtr read(const std::string& yaml) {
  const auto decoded = decode_yaml(yaml);
  EXPECT_EQ(decoded.size(), 1u);
  return decoded[0].object ? decoded[0].object : decoded[0].stand_in;
}

objects::ObjectPtr policy(const std::string& spec, const std::string& ns = "dev", const std::string& name = "p") {
  return read("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
              ", namespace: " + ns + "}\nspec: " + spec + "\n");
}

std::vector<model::PolicyRule> rules(const std::string& spec) {
  return state::rules_of(*objects::as<objects::AuthorizationPolicy>(policy(spec)));
}

TEST(Authorization, FromToAndEachConditionAreClausesOfOneRule) {
  const auto got = rules(
      "{rules: [{from: [{source: {principals: ['a/*', '*']}}, {source: {namespaces: ['*x']}}], to: [{operation: "
      "{ports: ['80']}}], when: [{key: source.ip, values: [10.0.0.0/8]}, {key: destination.port, notValues: "
      "['22']}]}, {}]}");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_FALSE(got[0].deny);
  ASSERT_EQ(got[0].clauses.size(), 4u);
  EXPECT_EQ(got[0].clauses[0], (model::PolicyClause{{.principals = patterns({"a/*", "*"})},
                                                    {.namespaces = patterns({"*x"})}}));
  EXPECT_EQ(got[0].clauses[1], (model::PolicyClause{{.ports = {80}}}));
  EXPECT_EQ(got[0].clauses[2], (model::PolicyClause{{.source_ranges = ranges({"10.0.0.0/8"})}}));
  EXPECT_EQ(got[0].clauses[3], (model::PolicyClause{{.not_ports = {22}}}));
  EXPECT_TRUE(got[1].clauses.empty()) << "{} speaks of everybody";
  EXPECT_EQ(got[0].source, "AuthorizationPolicy dev/p rules[0] (test.yaml:4)");
  EXPECT_NE(got[0].id, got[1].id);
}

const std::vector<model::PolicyClause> kNever = {{}};

TEST(Authorization, WhatLayer4CannotTellCloses) {
  EXPECT_EQ(rules("{rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]}")[0].clauses, kNever);
  EXPECT_EQ(rules("{rules: [{when: [{key: connection.sni, values: [a]}]}]}")[0].clauses, kNever);
  EXPECT_EQ(rules("{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}")[0].clauses, kNever);
  const auto mixed = rules("{action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]}");
  EXPECT_TRUE(mixed[0].deny);
  ASSERT_EQ(mixed[0].clauses.size(), 1u);
  EXPECT_EQ(mixed[0].clauses[0], (model::PolicyClause{{.ports = {80}}}));
  EXPECT_TRUE(rules("{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}")[0].clauses.empty())
      << "it refuses everybody";
  const auto either = rules(
      "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}, {operation: {ports: ['80']}}], from: [{source: "
      "{namespaces: [a]}}]}]}");
  ASSERT_EQ(either[0].clauses.size(), 1u) << "one of `to` is taken for fulfilled, so all of `to` is";
  EXPECT_EQ(either[0].clauses[0][0].namespaces, patterns({"a"}));
}

TEST(Authorization, AnAllowPolicyWithoutRulesRefusesAndTheOthersKeepTheirMeaning) {
  ASSERT_EQ(rules("{}").size(), 1u);
  EXPECT_EQ(rules("{}")[0].clauses, kNever);
  EXPECT_EQ(rules("{}")[0].source, "AuthorizationPolicy dev/p without rules (test.yaml:1)");
  EXPECT_TRUE(rules("{action: AUDIT, rules: [{}]}").empty());
  EXPECT_TRUE(rules("{targetRefs: [{kind: Service, name: a}], rules: [{}]}").empty());
  EXPECT_TRUE(rules("{action: CUSTOM, rules: [{to: [{operation: {ports: ['1']}}]}]}")[0].deny);
}

TEST(Authorization, ARangeOfAllIpv6HoldsNoIpv4) {
  const auto got = rules("{rules: [{from: [{source: {ipBlocks: ['::/0']}}]}]}");
  const auto& split = got[0].clauses[0][0].source_ranges;
  const auto holds = [&](const char* text) {
    return std::ranges::any_of(split, [&](const base::Cidr& range) { return range.contains(ip(text)); });
  };
  EXPECT_TRUE(holds("fd00::1") && holds("::1") && holds("::fffe:1.2.3.4") && holds("2001:db8::1"));
  EXPECT_FALSE(holds("10.1.2.3") || holds("255.255.255.255") || holds("0.0.0.0"));
  const auto all_ipv4 = rules("{rules: [{from: [{source: {ipBlocks: ['0.0.0.0/0']}}]}]}");
  EXPECT_EQ(all_ipv4[0].clauses[0][0].source_ranges.size(), 1u);
}

// A world with enrolled pods dev/a (app=a), dev/b (app=b), ops/c (app=a) on this node.
struct ThreePods : World {
  ThreePods() {
    for (const char* ns : {"dev", "ops", "istio-system"}) put(a_namespace(ns, {{"weft.mesh/enabled", "true"}}));
    put(a_pod("dev", "a", {.ip = "10.1.1.1", .node = "node-1", .labels = {{"app", "a"}}}));
    put(a_pod("dev", "b", {.ip = "10.1.1.2", .node = "node-1", .labels = {{"app", "b"}}}));
    put(a_pod("ops", "c", {.ip = "10.1.1.3", .node = "node-1", .labels = {{"app", "a"}}}));
  }
};

// "a:p b:p,q c:" rules by the name of their object.
std::string who_has_what(const model::Snapshot& now) {
  std::string out;
  for (const model::LocalPod& pod : now.local_pods) {
    out += (out.empty() ? "" : " ") + now.workloads[pod.workload].name + ":";
    for (size_t i = 0; i < pod.rules.size(); ++i) {
      const std::string& source = now.policy_rules.at(pod.rules[i]).source;
      const size_t slash = source.find('/');
      out += (i == 0 ? "" : ",") + source.substr(slash + 1, source.find(' ', slash) - slash - 1);
    }
  }
  return out;
}

TEST(Authorization, ScopeIsTheNamespaceTheMeshOrWhatTheSelectorNames) {
  ThreePods world;
  world.put(policy("{rules: [{}]}", "dev", "whole"))
      .put(policy("{selector: {matchLabels: {app: a}}, rules: [{}]}", "dev", "some"))
      .put(policy("{rules: [{}]}", "istio-system", "mesh"))
      .put(policy("{selector: {matchLabels: {app: a}}, rules: [{}]}", "istio-system", "mesh-some"))
      .put(policy("{selector: {matchLabels: {app: zzz}}, rules: [{}]}", "dev", "none"));
  EXPECT_EQ(who_has_what(world.look()), "a:mesh,mesh-some,some,whole b:mesh,whole c:mesh,mesh-some");
  EXPECT_EQ(world.look().policy_rules.size(), 4u) << "rules are shared, and those of nobody stay out";
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "whole", "Enforced"),
            "True Enforced: 2 of 2 pods that it selects on this node");
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "none", "Enforced"), "") << "other nodes may have such pods";
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "none", "Accepted"),
            "True Accepted: its rules are understood; it selects no pod of this node");
  world.drop(objects::Kind::kAuthorizationPolicy, "istio-system", "mesh");
  EXPECT_EQ(who_has_what(world.look()), "a:mesh-some,some,whole b:whole c:mesh-some");
}

TEST(Authorization, AnnotationsOfTheNamespaceStandBesidePolicies) {
  ThreePods world;
  world.put(a_namespace("ops", {{"weft.mesh/enabled", "true"}}, {{"weft.mesh/deny-from", "guests"}}))
      .put(policy("{rules: [{}]}", "ops", "p"));
  const model::Snapshot& now = world.look();
  ASSERT_EQ(now.local_pods[2].rules.size(), 2u);
  EXPECT_TRUE(now.policy_rules[now.local_pods[2].rules[0]].source.starts_with("Namespace ops annotation"));
}

TEST(Authorization, AChangedLabelChangesWhatSelectsThePod) {
  ThreePods world;
  world.put(policy("{selector: {matchLabels: {app: a}}, action: DENY, rules: [{}]}"));
  EXPECT_EQ(who_has_what(world.look()), "a:p b: c:");
  world.put(a_pod("dev", "b", {.ip = "10.1.1.2", .node = "node-1", .labels = {{"app", "a"}}}));
  EXPECT_EQ(who_has_what(world.look()), "a:p b:p c:");
}

TEST(Authorization, AFieldWithAnotherEffectIsToldWithTheEffect) {
  ThreePods world;
  const auto decoded = decode_yaml(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: dev}\n"
      "spec: {action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}\n");
  world.put(decoded[0].object, decoded[0].findings).look();
  EXPECT_TRUE(world.said("AuthorizationPolicy", "dev", "p", "Accepted").starts_with("True Accepted"));
  const std::string said = world.said("AuthorizationPolicy", "dev", "p", "PartiallyInvalid");
  EXPECT_TRUE(said.starts_with("True UnsupportedValue: spec.rules[0].to[0].operation.methods: ")) << said;
  EXPECT_NE(said.find("refuses as if this were fulfilled"), std::string::npos) << said;
}

TEST(Authorization, APolicyNobodyCanReadRefusesWhatItSelects) {
  ThreePods world;
  const auto decoded = decode_yaml(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: dev}\n"
      "spec: {selector: {matchLabels: {app: a}}, action: DENY, rules: [{form: []}]}\n");
  world.put(decoded[0].stand_in);
  world.state().fold(watch::FileFindings{"test.yaml", decoded[0].findings});
  const model::Snapshot& now = world.look();
  EXPECT_EQ(who_has_what(now), "a:p b: c:");
  EXPECT_TRUE(now.policy_rules[0].deny);
  EXPECT_TRUE(now.policy_rules[0].clauses.empty());
  EXPECT_EQ(now.policy_rules[0].source, "AuthorizationPolicy dev/p rules[0], which was refused (test.yaml:1)");
  const std::string said = world.said("AuthorizationPolicy", "dev", "p", "Accepted");
  EXPECT_TRUE(said.starts_with("False Refused: test.yaml:4:")) << said;
  EXPECT_NE(said.find("until it is mended, everybody is refused by 1 of 1 pods"), std::string::npos) << said;
}

TEST(Authorization, RulesThatDoNotFitOnTheNodeAreReplacedByWhatCloses) {
  ThreePods world;
  // Each has as many values as one policy may; together they exceed what rules may take.
  for (int i = 0; i < 80; ++i) {
    auto big = named<objects::AuthorizationPolicy>("dev", "big-" + std::to_string(100 + i));
    big->rules.emplace_back().from.emplace_back().namespaces.assign(16000, "x");
    world.put(big);
  }
  auto deny = named<objects::AuthorizationPolicy>("dev", "deny");
  deny->action = objects::AuthorizationPolicy::Action::kDeny;
  deny->rules.emplace_back().from.emplace_back().namespaces.assign(16000, "x");
  world.put(deny);
  const model::Snapshot& now = world.look();
  const model::PolicyRule& last = now.policy_rules.at(now.local_pods[0].rules.back());
  EXPECT_TRUE(last.deny);
  EXPECT_TRUE(last.clauses.empty()) << "everybody is refused";
  EXPECT_TRUE(last.source.ends_with("too large beside the other policies of this node")) << last.source;
  EXPECT_EQ(now.policy_rules[0].clauses[0][0].namespaces.size(), 16000u);
  EXPECT_TRUE(world.said("AuthorizationPolicy", "dev", "deny", "Accepted").starts_with("False TooLarge"));
  EXPECT_TRUE(world.said("AuthorizationPolicy", "dev", "big-179", "Accepted").starts_with("False TooLarge"));
  EXPECT_TRUE(world.said("AuthorizationPolicy", "dev", "big-100", "Accepted").starts_with("True Accepted"));
}

// A hook, or a proxy, sees a pod only in a Snapshot, and the first Snapshot anyone is given is built after the first
// whole look at the objects (State::synced); so no pod is enrolled before each policy that selects it is known.
TEST(Authorization, NoPodIsHandedOutBeforeEveryPolicyWasSeen) {
  ThreePods world;
  world.look();
  EXPECT_FALSE(world.state().synced()) << "whoever acts on Snapshots waits for this";
  world.put(policy("{action: DENY, rules: [{}]}"));
  world.state().fold(watch::Synced{});
  EXPECT_TRUE(world.state().synced());
  EXPECT_EQ(who_has_what(world.look()), "a:p b:p c:");
  // Later a pod and its policy come in one burst, which is folded whole before the next build.
  world.state().fold({watch::Upsert{objects::key_of(*a_pod("ops", "d")),
                                    a_pod("ops", "d", {.ip = "10.1.1.4", .node = "node-1"}),
                                    {}},
                      watch::Upsert{{objects::Kind::kAuthorizationPolicy, "ops", "late"},
                                    policy("{action: DENY, rules: [{}]}", "ops", "late"),
                                    {}}});
  EXPECT_EQ(who_has_what(world.look()), "a:p b:p c:late d:late");
}

}  // namespace
}  // namespace weft::test
