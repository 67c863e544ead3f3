#include "agent/compile/policy.h"

#include <gtest/gtest.h>

#include "tests/support/compile_fixture.h"

namespace weft::compile {
namespace {

constexpr uint32_t kPod = 7;

model::PolicyRule allow() {
  return {.id = 1, .source = "AuthorizationPolicy dev/a rule 0"};
}
model::PolicyRule deny() {
  return {.id = 2, .source = "AuthorizationPolicy dev/d rule 0", .deny = true};
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
  const auto policy = compile_policy({}, kPod, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, 0U);
}

TEST(Policy, ARuleWithoutFieldsSpeaksOfAnyone) {
  Ids ids;
  const auto policy = compile_policy({deny()}, kPod, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.at(entry(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 0)).rule_id, 2U);
  EXPECT_EQ(policy.flags, WEFT_POD_HAS_POLICY);
}

TEST(Policy, IdentitiesPortsNamespacesAndRangesAreEntries) {
  Ids ids;
  auto accounts = allow();
  accounts.service_accounts = {"dev/a", "dev/b"};
  accounts.ports = {80, 443};
  auto names = allow();
  names.namespaces = {"ops"};
  auto ranges = deny();
  ranges.source_ranges = {*base::Cidr::parse("10.1.2.3/8"), *base::Cidr::parse("fd00::/64")};
  const auto policy = compile_policy({accounts, names, ranges}, kPod, ids);
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
  auto rule = allow();
  rule.service_accounts = {"dev/a", "development/a", "ops/b"};
  rule.namespaces = {"dev"};
  const auto policy = compile_policy({rule}, kPod, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_TRUE(policy.entries.contains(
      entry(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, 32, 0, number(ids.identity("dev/a")))));
}

TEST(Policy, AnAllowRuleThatMatchesNobodyStillRefusesEverybody) {
  Ids ids;
  auto rule = allow();
  rule.service_accounts = {"dev/a"};
  rule.namespaces = {"ops"};
  const auto policy = compile_policy({rule}, kPod, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW});
}

TEST(Policy, ARuleOnPortZeroDoesNotBecomeARuleOnEveryPort) {
  Ids ids;
  auto rule = allow();
  rule.ports = {0};
  const auto policy = compile_policy({rule}, kPod, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_NE(policy.flags & WEFT_POD_HAS_ALLOW, 0U);
}

TEST(Policy, AnAllowRuleBeyondTheKernelLeavesAllAllowingToTheProxy) {
  Ids ids;
  auto beyond = allow();
  beyond.service_accounts = {"dev/a"};
  beyond.source_ranges = {*base::Cidr::parse("10.0.0.0/8")};
  auto plain = allow();
  plain.namespaces = {"ops"};
  auto denying = deny();
  denying.namespaces = {"bad"};
  const auto policy = compile_policy({beyond, plain, denying}, kPod, ids);
  EXPECT_NE(policy.flags & WEFT_POD_INBOUND_PROXY, 0U);
  EXPECT_EQ(policy.flags & WEFT_POD_HAS_ALLOW, 0U) << "the kernel would refuse what only the proxy can allow";
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.begin()->first.action, WEFT_ACTION_DENY);
  EXPECT_EQ(policy.problems.size(), 1U);
}

TEST(Policy, ADenyRuleBeyondTheKernelKeepsTheAllowEntriesAndAsksTheProxy) {
  Ids ids;
  auto beyond = deny();
  beyond.namespaces = {"bad"};
  beyond.source_ranges = {*base::Cidr::parse("10.0.0.0/8")};
  auto plain = allow();
  plain.namespaces = {"ops"};
  const auto policy = compile_policy({beyond, plain}, kPod, ids);
  EXPECT_EQ(policy.flags, uint32_t{WEFT_POD_INBOUND_PROXY | WEFT_POD_HAS_ALLOW | WEFT_POD_HAS_POLICY});
  EXPECT_EQ(policy.entries.size(), 1U);
}

TEST(Policy, TooManyEntriesAreLeftToTheProxyWhole) {
  Ids ids;
  auto rule = deny();
  for (uint32_t i = 0; i < 100; ++i) rule.namespaces.push_back("ns-" + std::to_string(i));
  for (uint16_t port = 1; port <= 50; ++port) rule.ports.push_back(port);
  const auto policy = compile_policy({rule}, kPod, ids);
  EXPECT_TRUE(policy.entries.empty());
  EXPECT_EQ(policy.flags, WEFT_POD_INBOUND_PROXY);
  EXPECT_EQ(policy.problems.size(), 1U);
}

TEST(Policy, OfTwoRulesThatSayTheSameTheFirstIsNamed) {
  Ids ids;
  auto second = deny();
  second.id = 3;
  const auto policy = compile_policy({deny(), second}, kPod, ids);
  ASSERT_EQ(policy.entries.size(), 1U);
  EXPECT_EQ(policy.entries.begin()->second.rule_id, 2U);
}

}  // namespace
}  // namespace weft::compile
