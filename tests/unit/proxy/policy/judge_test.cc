#include "userspace-proxy/policy/judge.h"

#include <gtest/gtest.h>

namespace weft::policy {
namespace {

using Reason = Verdict::Reason;

model::Workload workload(std::string ns, std::string account) {
  return {.name = "pod", .ns = std::move(ns), .service_account = std::move(account)};
}

model::PolicyRule rule(uint32_t id, bool deny) {
  return {.id = id, .source = "test", .deny = deny};
}

const base::Address kNear = *base::Address::parse("10.1.2.3");
const base::Address kFar = *base::Address::parse("203.0.113.9");

struct Case {
  const char* what;
  model::LocalPod pod;
  Peer peer;
  uint16_t port;
  Reason reason;
  uint32_t rule_id;  // 0: none
};

class Judge : public testing::Test {
 protected:
  static void check(const Case& c) {
    const Verdict verdict = judge(c.pod, c.peer, c.port);
    EXPECT_EQ(verdict.reason, c.reason) << c.what;
    EXPECT_EQ(verdict.rule == nullptr ? 0 : verdict.rule->id, c.rule_id) << c.what;
  }
  const model::Workload dev_web = workload("dev", "web");
  const model::Workload dev_ab = workload("dev", "ab");
  const model::Workload prod_web = workload("prod", "web");
  const Peer anonymous{.address = kNear};
  const Peer web{.address = kNear, .proven = &dev_web};
  const Peer stranger{.address = kFar, .proven = &prod_web};
};

TEST_F(Judge, without_rules_everybody_comes_in_unless_the_pod_is_strict) {
  model::LocalPod open, strict;
  strict.peer_mode = model::PeerMode::kStrict;
  for (const Case& c : {Case{"open, anonymous", open, anonymous, 80, Reason::kNoRules, 0},
                        Case{"strict, proven", strict, web, 80, Reason::kNoRules, 0},
                        Case{"strict, anonymous", strict, anonymous, 80, Reason::kStrictAnonymous, 0}})
    check(c);
}

TEST_F(Judge, deny_comes_before_allow_whatever_their_order) {
  model::LocalPod pod;
  pod.policies = {rule(1, false), rule(2, true)};
  pod.policies[1].ports = {8080};
  check({"denied port", pod, web, 8080, Reason::kDenied, 2});
  check({"other port", pod, web, 80, Reason::kAllowed, 1});
}

TEST_F(Judge, only_deny_rules_let_in_what_none_of_them_names) {
  model::LocalPod pod;
  pod.policies = {rule(3, true)};
  pod.policies[0].namespaces = {"prod"};
  check({"not named", pod, web, 80, Reason::kAllowed, 0});
  check({"named", pod, stranger, 80, Reason::kDenied, 3});
  check({"anonymous is nobody", pod, anonymous, 80, Reason::kAllowed, 0});
}

TEST_F(Judge, one_allow_rule_refuses_everything_else) {
  model::LocalPod pod;
  pod.policies = {rule(4, false)};
  pod.policies[0].namespaces = {"dev"};
  check({"named", pod, web, 80, Reason::kAllowed, 4});
  check({"other namespace", pod, stranger, 80, Reason::kNotAllowed, 0});
  check({"anonymous", pod, anonymous, 80, Reason::kNotAllowed, 0});
}

TEST_F(Judge, accounts_are_compared_whole) {
  model::LocalPod pod;
  pod.policies = {rule(5, false)};
  pod.policies[0].service_accounts = {"dev/web"};
  check({"same", pod, web, 80, Reason::kAllowed, 5});
  check({"other namespace", pod, stranger, 80, Reason::kNotAllowed, 0});
  check({"other account", pod, Peer{.address = kNear, .proven = &dev_ab}, 80, Reason::kNotAllowed, 0});
  const model::Workload tricky = workload("de", "v/web");
  check({"the slash is no part of a name", pod, Peer{.address = kNear, .proven = &tricky}, 80,
         Reason::kNotAllowed, 0});
}

TEST_F(Judge, lists_are_or_and_fields_are_and) {
  model::LocalPod pod;
  pod.policies = {rule(6, false)};
  pod.policies[0].namespaces = {"dev", "prod"};
  pod.policies[0].service_accounts = {"prod/web"};
  pod.policies[0].source_ranges = {*base::Cidr::parse("203.0.113.0/24"), *base::Cidr::parse("2001:db8::/32")};
  pod.policies[0].ports = {80, 443};
  check({"all fields", pod, stranger, 443, Reason::kAllowed, 6});
  check({"wrong port", pod, stranger, 81, Reason::kNotAllowed, 0});
  check({"wrong range", pod, Peer{.address = kNear, .proven = &prod_web}, 443, Reason::kNotAllowed, 0});
  check({"wrong account", pod, Peer{.address = kFar, .proven = &dev_web}, 443, Reason::kNotAllowed, 0});
}

TEST_F(Judge, a_verdict_names_its_rule_for_the_record) {
  model::LocalPod pod;
  pod.policies = {{.id = 17, .source = "AuthorizationPolicy dev/no rules[0]", .deny = true}};
  EXPECT_EQ(describe(judge(pod, web, 1)), "rule 17 (AuthorizationPolicy dev/no rules[0])");
  pod.peer_mode = model::PeerMode::kStrict;
  EXPECT_EQ(describe(judge(pod, anonymous, 1)), "STRICT and the peer has no proven identity");
}

}  // namespace
}  // namespace weft::policy
