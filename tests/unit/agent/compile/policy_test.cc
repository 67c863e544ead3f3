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
  return compile_policy(snapshot, snapshot.local_pods[0], kPod, ids);
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
