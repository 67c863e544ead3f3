#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

using Row = test::FindingRow;

std::string policy(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: dev}\nspec: " +
         spec + "\n";
}

template <typename T>
std::shared_ptr<const T> good(const std::string& yaml) {
  const auto decoded = test::decode_yaml(yaml);
  EXPECT_EQ(decoded.size(), 1u);
  for (const Finding& finding : decoded[0].findings)
    EXPECT_EQ(finding.severity, Severity::kWarning) << to_string(finding);
  return as<T>(decoded[0].object);
}

TEST(Security, an_authorization_policy_is_read_with_all_its_lists) {
  const auto got = good<AuthorizationPolicy>(R"(
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata:
  name: web
  namespace: dev
  annotations: {istio.io/dry-run: "true"}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - from:
    - source: {principals: ["cluster.local/ns/dev/sa/a"], notNamespaces: ["ops*"], ipBlocks: ["10.0.0.0/8"]}
    - source: {serviceAccounts: ["a", "ops/b"]}
    to:
    - operation: {ports: ["80", "443"], notPorts: ["22"]}
    when:
    - {key: destination.ip, values: ["10.1.0.0/16"]}
    - {key: source.namespace, notValues: ["*-test"]}
  - {}
)");
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->selector, (Labels{{"app", "web"}}));
  EXPECT_EQ(got->action, AuthorizationPolicy::Action::kDeny);
  EXPECT_TRUE(got->dry_run);
  ASSERT_EQ(got->rules.size(), 2u);
  const AuthorizationRule& rule = got->rules[0];
  ASSERT_EQ(rule.from.size(), 2u);
  EXPECT_EQ(rule.from[0].not_namespaces, std::vector<std::string>{"ops*"});
  EXPECT_EQ(rule.from[0].source_ranges.size(), 1u);
  EXPECT_EQ(rule.from[1].service_accounts, (std::vector<std::string>{"dev/a", "ops/b"}));
  EXPECT_EQ(rule.to[0].ports, (std::vector<uint16_t>{80, 443}));
  EXPECT_EQ(rule.to[0].not_ports, std::vector<uint16_t>{22});
  EXPECT_EQ(rule.when[0].destination_ranges.size(), 1u);
  EXPECT_EQ(rule.when[1].not_namespaces, std::vector<std::string>{"*-test"});
  EXPECT_EQ(rule.mark.line, 12u);
  EXPECT_TRUE(got->rules[1].from.empty() && got->rules[1].to.empty() && got->rules[1].when.empty());
}

TEST(Security, what_layer_4_cannot_tell_is_named_with_its_effect) {
  const std::string http = policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}");
  const std::string deny = policy("{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}");
  const std::string remote = policy("{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}");
  const std::string when = policy("{rules: [{when: [{key: 'request.headers[x]', values: [a]}]}]}");
  const std::string audit = policy("{action: AUDIT, rules: [{}]}");
  const std::string custom = policy("{action: CUSTOM, provider: {name: a}, rules: [{}]}");
  const std::string target = policy("{targetRefs: [{kind: Service, name: web}], rules: [{}]}");
  const Row kRows[] = {
      {"HTTP in ALLOW", http.c_str(), "4:44 UnsupportedValue spec.rules[0].to[0].operation.methods",
       "reads no HTTP: the whole rule lets nobody in"},
      {"HTTP in DENY", deny.c_str(), "4:56 UnsupportedValue spec.rules[0].to[0].operation.paths",
       "the rule refuses as if this were fulfilled"},
      {"remote address", remote.c_str(), "4:50 UnsupportedValue spec.rules[0].from[0].source.remoteIpBlocks",
       "use ipBlocks"},
      {"condition", when.c_str(), "4:30 UnsupportedValue spec.rules[0].when[0].key",
       "layer 4 cannot tell the string \"request.headers[x]\""},
      {"AUDIT", audit.c_str(), "4:16 UnsupportedValue spec.action", "AUDIT is not built; the policy has no effect"},
      {"CUSTOM", custom.c_str(), "4:16 UnsupportedValue spec.action", "what its rules match is refused"},
      {"targets", target.c_str(), "4:20 UnsupportedValue spec.targetRefs", "the whole policy has no effect"},
  };
  test::expect_findings(kRows, Severity::kWarning);
}

TEST(Security, excluding_names_is_said_not_to_keep_anonymous_peers_out) {
  const std::string in_vain = policy("{rules: [{from: [{source: {notNamespaces: [a]}}]}]}");
  const Row kRows[] = {{"only exclusions", in_vain.c_str(), "4:16 NoEffect spec.rules[0]", "add principals"}};
  test::expect_findings(kRows, Severity::kWarning);
  for (const char* fine : {"{rules: [{from: [{source: {principals: ['*'], notNamespaces: [a]}}]}]}",
                           "{action: DENY, rules: [{from: [{source: {notNamespaces: [a]}}]}]}",
                           "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}", "{rules: [{}]}"})
    EXPECT_TRUE(test::findings_of(policy(fine)).empty()) << fine;
}

TEST(Security, a_policy_has_a_bound) {
  std::string names;
  for (int i = 0; i < 16385; ++i) names += "'a',";
  EXPECT_NE(test::findings_of(policy("{rules: [{from: [{source: {namespaces: [" + names + "]}}]}]}"))[0].message.find(
                "more than 16384 values"),
            std::string::npos);
  const std::string one(1025, 'a');
  EXPECT_NE(test::findings_of(policy("{rules: [{from: [{source: {namespaces: [" + one + "]}}]}]}"))[0].message.find(
                "1025 bytes, at most 1024"),
            std::string::npos);
}

TEST(Security, mistyped_policies_are_refused_with_their_place) {
  const std::string rows[][3] = {
      {policy("{action: DNEY, rules: [{}]}"), "4:16 InvalidValue spec.action", "did you mean DENY?"},
      {policy("{action: DENY}"), "4:7 InvalidValue spec.rules", "needs at least one rule"},
      {policy("{rules: [{form: []}]}"), "4:17 UnknownField spec.rules[0].form", "did you mean \"from\"?"},
      {policy("{rules: [{from: []}]}"), "4:23 InvalidValue spec.rules[0].from", "an empty list"},
      {policy("{rules: [{from: [{source: {}}]}]}"), "4:33 InvalidValue spec.rules[0].from[0].source", "says nothing"},
      {policy("{rules: [{to: [{operation: {ports: ['http']}}]}]}"),
       "4:43 InvalidValue spec.rules[0].to[0].operation.ports[0]", "expected a port"},
      {policy("{rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}"),
       "4:45 InvalidValue spec.rules[0].from[0].source.ipBlocks[0]", "expected an address or a range"},
      {policy("{rules: [{from: [{source: {namespaces: ['a*b']}}]}]}"),
       "4:47 InvalidValue spec.rules[0].from[0].source.namespaces[0]", "beginning or the end"},
      {policy("{rules: [{from: [{source: {principals: ['spiffe://a/ns/b/sa/c']}}]}]}"),
       "4:46 InvalidValue spec.rules[0].from[0].source.principals", "without \"spiffe://\""},
      {policy("{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}"),
       "4:33 InvalidValue spec.rules[0].from[0].source", "do not stand beside"},
      {policy("{rules: [{when: [{key: source.ip}]}]}"), "4:24 InvalidValue spec.rules[0].when[0]",
       "expected values or notValues"},
      {policy("{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: w}]}"),
       "4:53 InvalidValue spec.targetRefs", "does not stand beside a selector"},
  };
  for (const auto& row : rows) {
    const auto decoded = test::decode_yaml(row[0]);
    ASSERT_EQ(decoded.size(), 1u);
    EXPECT_EQ(decoded[0].object, nullptr) << row[0];
    ASSERT_FALSE(decoded[0].findings.empty()) << row[0];
    const auto first = std::ranges::find(decoded[0].findings, Severity::kError, &Finding::severity);
    ASSERT_NE(first, decoded[0].findings.end());
    EXPECT_EQ(test::brief(*first), row[1]) << to_string(*first);
    EXPECT_NE(first->message.find(row[2]), std::string::npos) << to_string(*first);
    EXPECT_NE(decoded[0].stand_in, nullptr) << "policies fail closed";
  }
}

std::shared_ptr<const AuthorizationPolicy> stand_in(const std::string& spec) {
  const auto decoded = test::decode_yaml(policy(spec));
  EXPECT_TRUE(decoded[0].stand_in && decoded[0].stand_in->refused) << spec;
  return as<AuthorizationPolicy>(decoded[0].stand_in);
}

TEST(Security, what_stands_in_for_a_refused_policy_selects_the_same_pods_and_closes) {
  using Action = AuthorizationPolicy::Action;
  const auto deny = stand_in("{selector: {matchLabels: {app: web}}, action: DENY, rules: [{form: []}]}");
  EXPECT_EQ(deny->selector, (Labels{{"app", "web"}}));
  EXPECT_EQ(deny->action, Action::kDeny);
  ASSERT_EQ(deny->rules.size(), 1u);
  EXPECT_TRUE(deny->rules[0].from.empty());
  const auto allow = stand_in("{selector: {matchLabels: {app: web}}, rules: [{form: []}]}");
  EXPECT_EQ(allow->action, Action::kAllow);
  EXPECT_TRUE(allow->rules.empty()) << "it lets nobody in, other ALLOW policies still do";
  EXPECT_EQ(stand_in("{acton: DENY, rules: [{}]}")->action, Action::kDeny) << "the action may be the misspelt field";
  EXPECT_EQ(stand_in("{action: DNEY, rules: [{}]}")->action, Action::kDeny);
  EXPECT_EQ(stand_in("[]")->action, Action::kDeny);
  EXPECT_TRUE(stand_in("{selector: {matchLabels: {app: 7}}}")->selector.empty()) << "unreadable: the namespace";
  EXPECT_TRUE(stand_in("{selector: {matchLables: {app: web}}}")->selector.empty());
  EXPECT_TRUE(stand_in("{targetRefs: [{kind: Service, name: w}], rules: [{form: []}]}")->has_targets);
}

std::string modes(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: m, namespace: dev}\nspec: " +
         spec + "\n";
}

TEST(Security, a_peer_authentication_is_read_and_a_mistyped_one_is_strict) {
  const auto got = good<PeerAuthentication>(
      modes("{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}, "
            "90: {mode: UNSET}, 443: {mode: DISABLE}}}"));
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->mode, MtlsMode::kStrict);
  ASSERT_EQ(got->ports.size(), 3u);
  EXPECT_EQ(got->ports[0].port, 90);
  EXPECT_EQ(got->ports[0].mode, MtlsMode::kUnset);
  EXPECT_EQ(got->ports[1].mode, MtlsMode::kDisable);
  EXPECT_EQ(got->ports[2].mode, MtlsMode::kPermissive);
  for (const char* spec : {"{portLevelMtls: {80: {mode: STRICT}}}", "{mtls: {mode: Strict}}",
                           "{selector: {matchLabels: {app: a}}, portLevelMtls: {http: {mode: STRICT}}}"}) {
    const auto decoded = test::decode_yaml(modes(spec));
    EXPECT_EQ(decoded[0].object, nullptr) << spec;
    const auto closed = as<PeerAuthentication>(decoded[0].stand_in);
    ASSERT_NE(closed, nullptr) << spec;
    EXPECT_EQ(closed->mode, MtlsMode::kStrict);
    EXPECT_TRUE(closed->ports.empty());
  }
  EXPECT_EQ(good<PeerAuthentication>(modes("{}"))->mode, MtlsMode::kUnset);
}

TEST(Security, objects_of_other_kinds_have_no_stand_in) {
  const auto decoded = test::decode_yaml("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n");
  EXPECT_EQ(decoded[0].object, nullptr);
  EXPECT_EQ(decoded[0].stand_in, nullptr);
}

}  // namespace
}  // namespace weft::objects
