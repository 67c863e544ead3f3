#include "agent/compile/policy.h"

#include <gtest/gtest.h>

#include "tests/support/compile_fixture.h"
#include "tests/support/policy_builders.h"

namespace weft::compile {
namespace {

constexpr uint32_t kPod = 7;

model::PolicyRule allow(model::PolicyMatch match) {
  return test::rule(1, false, std::move(match));
}
model::PolicyRule deny(model::PolicyMatch match = {}) {
  return test::rule(2, true, std::move(match));
}

PodPolicy compile_rules(std::vector<model::PolicyRule> rules, Ids& ids) {
  model::Snapshot snapshot;
  add_local_pod(snapshot, add_workload(snapshot, "a", {"10.1.0.1"}));
  test::give_rules(snapshot, 0, std::move(rules));
  return PolicyCompiler(snapshot, ids).compile(snapshot.local_pods[0], kPod);
}

weft_policy_key entry(weft_rule_action action, weft_subject subject, uint32_t bits, uint16_t port,
                      weft_address value = {}) {
  weft_policy_key key{};
  key.prefix_length = WEFT_POLICY_FIXED_BITS + bits;
  key.pod_id = kPod;
  key.action = static_cast<__u8>(action);
  key.subject = static_cast<__u8>(subject);
  key.port = port;
  key.value = value;
  return key;
}

weft_address number(uint32_t n) {
  weft_address value{};
  std::memcpy(value.bytes, &n, sizeof n);
  return value;
}

TEST(Policy, NoRuleNeedsNothing) {
  Ids ids;
  const auto policy = compile_rules({}, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, 0U);
}

TEST(Policy, ARuleWithoutFieldsSpeaksOfAnyone) {
  Ids ids;
  const auto policy = compile_rules({deny()}, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.at(entry(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 0)).rule_id, 2U);
  EXPECT_EQ(policy.flags, WEFT_POD_HAS_POLICY);
}

TEST(Policy, IdentitiesPortsNamespacesAndRangesAreEntries) {
  Ids ids;
  const auto accounts = allow({.service_accounts = {"dev/a", "dev/b"}, .ports = {80, 443}});
  const auto names = allow({.namespaces = test::patterns({"ops"})});
  const auto ranges = deny({.source_ranges = test::ranges({"10.1.2.3/8", "fd00::/64"})});
  const auto policy = compile_rules({accounts, names, ranges}, ids);
  EXPECT_EQ(policy.entries.size(), 7U);
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW});
  const auto a = number(ids.identity("dev/a")), ops = number(ids.name_space("ops"));
  EXPECT_TRUE(policy.entries.contains(entry(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, 32, 443, a)));
  EXPECT_TRUE(policy.entries.contains(entry(WEFT_ACTION_ALLOW, WEFT_SUBJECT_NAMESPACE, 32, 0, ops)));
  // Bits beyond the prefix are cleared.
  EXPECT_TRUE(
      policy.entries.contains(entry(WEFT_ACTION_DENY, WEFT_SUBJECT_ADDRESS, 104, 0, in_kernel("10.0.0.0"))));
  EXPECT_TRUE(
      policy.entries.contains(entry(WEFT_ACTION_DENY, WEFT_SUBJECT_ADDRESS, 64, 0, in_kernel("fd00::"))));
}

TEST(Policy, AccountsAndNamespacesTogetherMeanTheAccountsInThoseNamespaces) {
  Ids ids;
  const auto rule = allow(
      {.namespaces = test::patterns({"dev"}), .service_accounts = {"dev/a", "development/a", "ops/b"}});
  const auto policy = compile_rules({rule}, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_TRUE(policy.entries.contains(
      entry(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, 32, 0, number(ids.identity("dev/a")))));
}

TEST(Policy, AnAllowRuleThatMatchesNobodyStillRefusesEverybody) {
  Ids ids;
  const auto rule = allow({.namespaces = test::patterns({"ops"}), .service_accounts = {"dev/a"}});
  const auto policy = compile_rules({rule}, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW});
}

TEST(Policy, ARuleOnPortZeroDoesNotBecomeARuleOnEveryPort) {
  Ids ids;
  const auto rule = allow({.ports = {0}});
  const auto policy = compile_rules({rule}, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_NE(policy.flags & WEFT_POD_HAS_ALLOW, 0U);
}

TEST(Policy, AnAllowRuleBeyondTheKernelLeavesAllAllowingToTheProxy) {
  Ids ids;
  const auto beyond = allow({.service_accounts = {"dev/a"}, .source_ranges = test::ranges({"10.0.0.0/8"})});
  const auto plain = allow({.namespaces = test::patterns({"ops"})});
  const auto denying = deny({.namespaces = test::patterns({"bad"})});
  const auto policy = compile_rules({beyond, plain, denying}, ids);
  EXPECT_NE(policy.flags & WEFT_POD_INBOUND_PROXY, 0U);
  EXPECT_EQ(policy.flags & WEFT_POD_HAS_ALLOW, 0U) << "the kernel would refuse what only the proxy can allow";
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.begin()->first.action, WEFT_ACTION_DENY);
  EXPECT_EQ(policy.problems.size(), 1U);
}

TEST(Policy, ADenyRuleBeyondTheKernelKeepsTheAllowEntriesAndAsksTheProxy) {
  Ids ids;
  const auto beyond =
      deny({.namespaces = test::patterns({"bad"}), .source_ranges = test::ranges({"10.0.0.0/8"})});
  const auto plain = allow({.namespaces = test::patterns({"ops"})});
  const auto policy = compile_rules({beyond, plain}, ids);
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_INBOUND_PROXY | WEFT_POD_HAS_ALLOW | WEFT_POD_HAS_POLICY});
  EXPECT_EQ(policy.entries.size(), 1U);
}

TEST(Policy, TooManyEntriesAreLeftToTheProxyWhole) {
  Ids ids;
  model::PolicyMatch match;
  for (uint32_t i = 0; i < 100; ++i) match.namespaces.push_back(test::pattern("ns-" + std::to_string(i)));
  for (uint16_t port = 1; port <= 50; ++port) match.ports.push_back(port);
  const auto policy = compile_rules({deny(match)}, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, WEFT_POD_INBOUND_PROXY);
  EXPECT_EQ(policy.problems.size(), 1U);
}

// What one match becomes: "deny|allow subject port" of each entry, or "proxy".
std::string said(const model::PolicyMatch& match, bool is_deny = false) {
  static constexpr const char* kSubjects[] = {"anyone", "account", "namespace", "range", "anonymous", "proven"};
  Ids ids;
  const auto policy = compile_rules({is_deny ? deny(match) : allow(match)}, ids);
  if ((policy.flags & WEFT_POD_INBOUND_PROXY) != 0) return "proxy";
  std::string out;
  for (const auto& [key, rule] : policy.entries)
    out += (out.empty() ? "" : ", ") + std::string(kSubjects[key.subject]) + ":" + std::to_string(key.port);
  return out;
}

TEST(Policy, PrincipalsOfTheMeshAreAccountsAndOthersAreNobodyHere) {
  const auto principals = [](const char* text) { return said({.principals = test::patterns({text})}); };
  EXPECT_EQ(principals("cluster.local/ns/dev/sa/web"), "account:0");
  EXPECT_EQ(principals("other.org/ns/dev/sa/web"), "");
  EXPECT_EQ(principals("cluster.local/ns/dev"), "");
  EXPECT_EQ(principals("*"), "proven:0");
  EXPECT_EQ(principals("cluster.local/*"), "proven:0");
  EXPECT_EQ(principals("cluster.local/ns/dev/*"), "namespace:0");
  EXPECT_EQ(principals("cluster.local/ns/dev/sa/*"), "namespace:0");
  EXPECT_EQ(principals("cluster.local/ns/dev/sb*"), "");
  EXPECT_EQ(principals("other.org/*"), "");
  EXPECT_EQ(principals("cluster.local/ns/de*"), "proxy");
  EXPECT_EQ(principals("cluster.local/ns/dev/sa/we*"), "proxy");
  EXPECT_EQ(principals("*/sa/web"), "proxy");
}

TEST(Policy, NegativeListsAreAnonymousPeersNothingOrBeyondTheKernel) {
  EXPECT_EQ(said({.not_principals = test::patterns({"*"})}), "anonymous:0");
  EXPECT_EQ(said({.not_principals = test::patterns({"other.org/ns/a/sa/b"})}), "anyone:0");
  EXPECT_EQ(said({.not_principals = test::patterns({"cluster.local/ns/a/sa/b"})}), "proxy");
  EXPECT_EQ(said({.not_namespaces = test::patterns({"*"}), .ports = {80}}), "anonymous:80");
  EXPECT_EQ(said({.not_namespaces = test::patterns({"dev"})}), "proxy");
  EXPECT_EQ(said({.not_service_accounts = {"dev/a"}}), "proxy");
  EXPECT_EQ(said({.not_ports = {80}}), "proxy");
  EXPECT_EQ(said({.not_source_ranges = test::ranges({"10.0.0.0/8"})}), "proxy");
  EXPECT_EQ(said({.principals = test::patterns({"*"}), .not_principals = test::patterns({"*"})}), "");
}

TEST(Policy, TwoKindsMeetWhereTheKernelHasAWordForBoth) {
  EXPECT_EQ(said({.namespaces = test::patterns({"*"}), .service_accounts = {"dev/a"}}), "account:0");
  EXPECT_EQ(said({.principals = test::patterns({"cluster.local/ns/dev/*"}), .service_accounts = {"dev/a", "x/a"}}),
            "account:0");
  EXPECT_EQ(said({.namespaces = test::patterns({"dev"}), .source_ranges = test::ranges({"10.0.0.0/8"})}), "proxy");
  EXPECT_EQ(said({.namespaces = test::patterns({"dev"}), .source_ranges = test::ranges({"::/0"})}), "namespace:0")
      << "a range of all addresses says nothing";
}

TEST(Policy, ClausesMeetLikeKinds) {
  Ids ids;
  auto rule = allow({.source_ranges = test::ranges({"10.0.0.0/8", "192.168.0.0/16"})});
  rule.clauses.push_back({{.source_ranges = test::ranges({"10.1.0.0/16"})}, {.ports = {443}}});
  const auto policy = compile_rules({rule}, ids);
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW});
  EXPECT_EQ(policy.entries.size(), 3U) << "10.1/16 at any port, 10/8 and 192.168/16 at 443";
  auto never = allow({.ports = {1}});
  never.clauses = {{}};
  const auto nobody = compile_rules({never}, ids);
  EXPECT_TRUE(nobody.entries.empty());
  EXPECT_EQ(nobody.flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW}) << "it refuses everybody";
}

TEST(Policy, DestinationsAreForTheProxyUnlessADenyRuleNamesAllOfThePods) {
  EXPECT_EQ(said({.destination_ranges = test::ranges({"10.1.0.0/16"})}, true), "anyone:0");
  EXPECT_EQ(said({.destination_ranges = test::ranges({"10.9.0.0/16"})}, true), "proxy");
  EXPECT_EQ(said({.destination_ranges = test::ranges({"10.1.0.0/16"})}, false), "proxy")
      << "the pod may be called by an address that nobody told";
  EXPECT_EQ(said({.not_destination_ranges = test::ranges({"10.9.0.0/16"})}, true), "proxy");
}

TEST(Policy, ADryRunIsForTheProxyAndCountsForNothing) {
  Ids ids;
  auto rule = allow({.ports = {80}});
  rule.dry_run = true;
  const auto policy = compile_rules({rule}, ids);
  EXPECT_EQ(policy.flags, WEFT_POD_INBOUND_PROXY);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.problems.size(), 1U);
}

TEST(Policy, ModesOfPortsAreATableOfTheirOwn) {
  Ids ids;
  model::Snapshot snapshot;
  model::LocalPod& pod = add_local_pod(snapshot, add_workload(snapshot, "a", {"10.1.0.1"}));
  pod.peer_mode = model::PeerMode::kStrict;
  pod.port_modes = {{.port = 80, .mode = model::PeerMode::kPermissive},
                    {.port = 443, .mode = model::PeerMode::kStrict}};
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.pods.at("uid-a").flags, uint32_t{WEFT_POD_STRICT | WEFT_POD_HAS_PORT_MODES});
  ASSERT_EQ(tables.port_modes.size(), 2U);
  const uint32_t id = tables.pods.at("uid-a").pod_id;
  EXPECT_EQ(tables.port_modes.at({id, 80, 0}).mode, uint32_t{WEFT_PEERS_PERMISSIVE});
  EXPECT_EQ(tables.port_modes.at({id, 443, 0}).mode, uint32_t{WEFT_PEERS_STRICT});
  pod.peer_mode = model::PeerMode::kPermissive;
  pod.port_modes.clear();
  for (uint16_t port = 1; port <= kMaxPortModesPerPod + 1; ++port) pod.port_modes.push_back({.port = port});
  const Tables too_many = compile(snapshot, ids);
  EXPECT_EQ(too_many.pods.at("uid-a").flags, WEFT_POD_STRICT);
  EXPECT_TRUE(too_many.port_modes.empty());
  EXPECT_EQ(too_many.problems.size(), 1U);
}

TEST(Policy, OfTwoRulesThatSayTheSameTheFirstIsNamed) {
  Ids ids;
  auto second = deny();
  second.id = 3;
  const auto policy = compile_rules({deny(), second}, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.begin()->second.rule_id, 2U);
}

}  // namespace
}  // namespace weft::compile
