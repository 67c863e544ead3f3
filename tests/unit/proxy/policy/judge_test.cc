#include "userspace-proxy/policy/matcher.h"

#include <gtest/gtest.h>

#include "tests/support/policy_builders.h"

namespace weft::policy {
namespace {

using Reason = Verdict::Reason;
using test::rule;

model::Workload workload(std::string ns, std::string account) {
  return {.name = "pod", .ns = std::move(ns), .service_account = std::move(account)};
}

const base::Address kNear = *base::Address::parse("10.1.2.3");
const base::Address kFar = *base::Address::parse("203.0.113.9");
const base::Address kPod = *base::Address::parse("10.1.9.9");

class Judge : public testing::Test {
 protected:
  Judge() { snapshot.local_pods.push_back({.workload = 0}); }

  void check(const char* what, const Peer& peer, uint16_t port, Reason reason, uint32_t rule_id = 0) {
    const Matcher matcher(std::make_shared<const model::Snapshot>(snapshot));
    const Verdict verdict = matcher.judge(matcher.snapshot().local_pods[0], peer, port);
    EXPECT_EQ(verdict.reason, reason) << what;
    EXPECT_EQ(verdict.rule == nullptr ? 0 : verdict.rule->id, rule_id) << what;
    said = describe(verdict);
  }
  void give(std::vector<model::PolicyRule> rules) { test::give_rules(snapshot, 0, std::move(rules)); }
  model::LocalPod& pod() { return snapshot.local_pods[0]; }

  model::Snapshot snapshot;
  std::string said;  // of the last verdict
  const model::Workload dev_web = workload("dev", "web");
  const model::Workload dev_ab = workload("dev", "ab");
  const model::Workload prod_web = workload("prod", "web");
  const Peer anonymous{.address = kNear, .destination = kPod};
  const Peer web{.address = kNear, .proven = &dev_web, .destination = kPod};
  const Peer stranger{.address = kFar, .proven = &prod_web, .destination = kPod};
};

TEST_F(Judge, without_rules_everybody_comes_in_unless_the_pod_is_strict) {
  check("open, anonymous", anonymous, 80, Reason::kNoRules);
  pod().peer_mode = model::PeerMode::kStrict;
  check("strict, proven", web, 80, Reason::kNoRules);
  check("strict, anonymous", anonymous, 80, Reason::kStrictAnonymous);
}

TEST_F(Judge, the_mode_of_a_port_counts_instead_of_the_pods) {
  pod().peer_mode = model::PeerMode::kStrict;
  pod().port_modes = {{.port = 80, .mode = model::PeerMode::kPermissive}};
  check("an open port of a strict pod", anonymous, 80, Reason::kNoRules);
  check("its other ports", anonymous, 81, Reason::kStrictAnonymous);
  pod().peer_mode = model::PeerMode::kPermissive;
  pod().port_modes = {{.port = 80, .mode = model::PeerMode::kStrict}};
  check("a strict port of an open pod", anonymous, 80, Reason::kStrictAnonymous);
  check("the same for a proven peer", web, 80, Reason::kNoRules);
  check("its other ports", anonymous, 81, Reason::kNoRules);
}

TEST_F(Judge, deny_comes_before_allow_whatever_their_order) {
  give({rule(1, false), rule(2, true, {.ports = {8080}})});
  check("denied port", web, 8080, Reason::kDenied, 2);
  check("other port", web, 80, Reason::kAllowed, 1);
}

TEST_F(Judge, only_deny_rules_let_in_what_none_of_them_names) {
  give({rule(3, true, {.namespaces = test::patterns({"prod"})})});
  check("not named", web, 80, Reason::kAllowed);
  check("named", stranger, 80, Reason::kDenied, 3);
  check("anonymous is nobody", anonymous, 80, Reason::kAllowed);
}

TEST_F(Judge, one_allow_rule_refuses_everything_else) {
  give({rule(4, false, {.namespaces = test::patterns({"dev"})})});
  check("named", web, 80, Reason::kAllowed, 4);
  check("other namespace", stranger, 80, Reason::kNotAllowed, 4);
  check("anonymous", anonymous, 80, Reason::kNotAllowed, 4);
}

TEST_F(Judge, accounts_are_compared_whole) {
  give({rule(5, false, {.service_accounts = {"dev/web"}})});
  check("same", web, 80, Reason::kAllowed, 5);
  check("other namespace", stranger, 80, Reason::kNotAllowed, 5);
  check("other account", {.address = kNear, .proven = &dev_ab}, 80, Reason::kNotAllowed, 5);
  const model::Workload tricky = workload("de", "v/web");
  check("the slash is no part of a name", {.address = kNear, .proven = &tricky}, 80, Reason::kNotAllowed, 5);
}

TEST_F(Judge, lists_are_or_and_fields_are_and) {
  give({rule(6, false,
             {.namespaces = test::patterns({"dev", "prod"}),
              .service_accounts = {"prod/web"},
              .source_ranges = test::ranges({"203.0.113.0/24", "2001:db8::/32"}),
              .ports = {80, 443}})});
  check("all fields", stranger, 443, Reason::kAllowed, 6);
  check("wrong port", stranger, 81, Reason::kNotAllowed, 6);
  check("wrong range", {.address = kNear, .proven = &prod_web}, 443, Reason::kNotAllowed, 6);
  check("wrong account", {.address = kFar, .proven = &dev_web}, 443, Reason::kNotAllowed, 6);
}

TEST_F(Judge, patterns_of_principals_speak_of_the_identity_without_its_scheme) {
  give({rule(7, true, {.principals = test::patterns({"cluster.local/ns/dev/sa/web"})}),
        rule(8, true, {.principals = test::patterns({"cluster.local/ns/prod/*"}), .ports = {81}}),
        rule(9, true, {.principals = test::patterns({"*/sa/web"}), .ports = {82}}),
        rule(10, true, {.principals = test::patterns({"*"}), .ports = {83}})});
  check("exact", web, 80, Reason::kDenied, 7);
  check("exact, somebody else", stranger, 80, Reason::kAllowed);
  check("prefix", stranger, 81, Reason::kDenied, 8);
  check("suffix", stranger, 82, Reason::kDenied, 9);
  check("anybody proven", stranger, 83, Reason::kDenied, 10);
  check("anonymous is not anybody", anonymous, 83, Reason::kAllowed);
}

TEST_F(Judge, an_anonymous_peer_passes_negative_lists_of_identities) {
  give({rule(11, true, {.not_principals = test::patterns({"*"}), .ports = {1}}),
        rule(12, true, {.not_namespaces = test::patterns({"dev"}), .ports = {2}}),
        rule(13, true, {.not_service_accounts = {"dev/web"}, .ports = {3}})});
  check("not proven at all", anonymous, 1, Reason::kDenied, 11);
  check("proven", web, 1, Reason::kAllowed);
  check("of no namespace", anonymous, 2, Reason::kDenied, 12);
  check("of another one", stranger, 2, Reason::kDenied, 12);
  check("of that one", web, 2, Reason::kAllowed);
  check("of no account", anonymous, 3, Reason::kDenied, 13);
  check("of that account", web, 3, Reason::kAllowed);
}

TEST_F(Judge, addresses_and_ports_have_their_negations) {
  give({rule(14, true, {.not_source_ranges = test::ranges({"10.0.0.0/8"}), .ports = {1}}),
        rule(15, true, {.destination_ranges = test::ranges({"10.1.9.0/24"}), .ports = {2}}),
        rule(16, true, {.not_destination_ranges = test::ranges({"10.1.9.0/24"}), .ports = {3}}),
        rule(17, true, {.not_ports = {1, 2, 3, 4}})});
  check("outside the range", stranger, 1, Reason::kDenied, 14);
  check("inside it", web, 1, Reason::kAllowed);
  check("destination inside", web, 2, Reason::kDenied, 15);
  check("destination inside, negated", web, 3, Reason::kAllowed);
  check("none of the ports", web, 5, Reason::kDenied, 17);
}

TEST_F(Judge, clauses_are_and_and_an_empty_clause_is_never_true) {
  model::PolicyRule both = rule(18, true, {.namespaces = test::patterns({"dev"})});
  both.clauses.push_back({{.ports = {80}}, {.ports = {443}}});
  model::PolicyRule never = rule(19, true);
  never.clauses = {{}};
  give({never, both});
  check("both", web, 443, Reason::kDenied, 18);
  check("the first only", web, 81, Reason::kAllowed);
  check("the second only", stranger, 443, Reason::kAllowed);
}

TEST_F(Judge, a_dry_run_decides_nothing_but_is_told) {
  model::PolicyRule deny = rule(20, true, {.ports = {1}}), allow = rule(21, false, {.ports = {2}});
  deny.dry_run = allow.dry_run = true;
  give({deny, allow});
  check("the denied port", web, 1, Reason::kNoRules);
  EXPECT_EQ(said, "no rule; dry run: denied by rule 20 (rule 20)");
  check("the allowed port", web, 2, Reason::kNoRules);
  EXPECT_EQ(said, "no rule");
  check("any other", web, 3, Reason::kNoRules);
  EXPECT_EQ(said, "no rule; dry run: no ALLOW rule matches, the first is rule 21 (rule 21)");
  give({allow, rule(23, false, {.ports = {3}})});
  check("an ALLOW rule that is enforced is enough", web, 3, Reason::kAllowed, 23);
  EXPECT_EQ(said, "rule 23 (rule 23)");
  check("a dry run lets nobody in", web, 2, Reason::kNotAllowed, 23);
}

TEST_F(Judge, an_identity_proven_by_tls_brings_its_own_trust_domain) {
  give({rule(24, false, {.principals = test::patterns({"other.org/ns/dev/sa/web"})})});
  const model::SpiffeId own{"cluster.local", "dev", "web"}, other{"other.org", "dev", "web"};
  check("the mesh's own", {.address = kFar, .identity = &own}, 80, Reason::kNotAllowed, 24);
  check("another one", {.address = kFar, .identity = &other}, 80, Reason::kAllowed, 24);
  check("it goes before what the address says", {.address = kFar, .proven = &prod_web, .identity = &other}, 80,
        Reason::kAllowed, 24);
}

TEST_F(Judge, a_verdict_names_its_rule_for_the_record) {
  give({rule(22, true)});
  snapshot.policy_rules[0].source = "AuthorizationPolicy dev/no rules[0]";
  check("denied", web, 1, Reason::kDenied, 22);
  EXPECT_EQ(said, "rule 22 (AuthorizationPolicy dev/no rules[0])");
  pod().peer_mode = model::PeerMode::kStrict;
  check("nobody says why", anonymous, 1, Reason::kStrictAnonymous);
  EXPECT_EQ(said, "STRICT and the peer has no proven identity");
  pod().port_modes = {{.port = 1, .mode = model::PeerMode::kStrict, .source = "PeerAuthentication dev/a"}};
  check("the port does", anonymous, 1, Reason::kStrictAnonymous);
  EXPECT_EQ(said, "STRICT (PeerAuthentication dev/a) and the peer has no proven identity");
  give({rule(25, false, {.ports = {9}})});
  check("not allowed", web, 1, Reason::kNotAllowed, 25);
  EXPECT_EQ(said, "no ALLOW rule matches, the first is rule 25 (rule 25)");
}

}  // namespace
}  // namespace weft::policy
