// Gateway, VirtualService, DestinationRule: values that are refused, fields that are not built yet, and what
// is read.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

#define VIRTUAL_SERVICE \
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: dev}\nspec:\n"
#define RULE \
  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: dev}\nspec:\n"
#define GATEWAY \
  "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: dev}\nspec:\n"
#define TO_B "    route: [{destination: {host: b}}]\n"

using Row = test::FindingRow;

TEST(VirtualService, values_that_istio_refuses_are_refused) {
  constexpr Row kRows[] = {
      {"bare * in the mesh", VIRTUAL_SERVICE "  hosts: [\"*\"]\n  http:\n  -\n" TO_B,
       "5:11 InvalidValue spec.hosts[0]", "cannot be bound to \"mesh\""},
      {"wildcard inside", VIRTUAL_SERVICE "  hosts: [\"a.*.com\"]\n  http:\n  -\n" TO_B,
       "5:11 InvalidValue spec.hosts[0]", "left-most label"},
      {"address in the mesh", VIRTUAL_SERVICE "  hosts: [10.0.0.1]\n  http:\n  -\n" TO_B,
       "5:11 InvalidValue spec.hosts[0]", "needs a gateway"},
      {"hosts overlap", VIRTUAL_SERVICE "  hosts: [a.foo.com, \"*.foo.com\"]\n  http:\n  -\n" TO_B,
       "5:22 InvalidValue spec.hosts[1]", "overlaps with \"a.foo.com\""},
      {"no rule", VIRTUAL_SERVICE "  hosts: [a]\n", "5:3 MissingField spec",
       "at least one rule in http, tls or tcp"},
      {"bad gateway name", VIRTUAL_SERVICE "  hosts: [a]\n  gateways: [a/b/c]\n  http:\n  -\n" TO_B,
       "6:14 InvalidValue spec.gateways[0]", "namespace/name"},
      {"no action", VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - name: x\n", "7:5 InvalidValue spec.http[0]",
       "exactly one of route, redirect"},
      {"weights sum to nothing",
       VIRTUAL_SERVICE
       "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: b}\n    - destination: {host: c}\n",
       "8:5 InvalidValue spec.http[0].route", "must not sum to 0"},
      {"negative weight",
       VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: b}\n      weight: -1\n",
       "9:15 InvalidValue spec.http[0].route[0].weight", "cannot be negative"},
      {"wildcard destination",
       VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - route: [{destination: {host: \"*\"}}]\n",
       "7:34 InvalidValue spec.http[0].route[0].destination.host", "name of a service"},
      {"destination without host",
       VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - route: [{destination: {subset: x}}]\n",
       "7:27 MissingField spec.http[0].route[0].destination", "\"host\" is missing"},
      {"two forms of a match",
       VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - match: [{uri: {exact: /a, prefix: /b}}]\n" TO_B,
       "7:19 InvalidValue spec.http[0].match[0].uri", "exactly one of exact, prefix and regex"},
      {"no form of a match", VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - match: [{uri: {}}]\n" TO_B,
       "7:19 InvalidValue spec.http[0].match[0].uri", "exactly one of"},
      {"bad expression", VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - match: [{uri: {regex: \"a(\"}}]\n" TO_B,
       "7:27 InvalidValue spec.http[0].match[0].uri.regex", "missing )"},
      {"look-ahead is no RE2",
       VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - match: [{uri: {regex: \"(?=a)\"}}]\n" TO_B,
       "7:27 InvalidValue spec.http[0].match[0].uri.regex", "RE2"},
      {"misspelt match", VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - mach: []\n" TO_B,
       "7:5 UnknownField spec.http[0].mach", "did you mean \"match\"?"},
      {"snake case", VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - match: [{query_params: {}}]\n" TO_B,
       "7:14 UnknownField spec.http[0].match[0].query_params", "did you mean \"queryParams\"?"},
      {"exportTo mixes", VIRTUAL_SERVICE "  hosts: [a]\n  exportTo: [\".\", \"*\"]\n  http:\n  -\n" TO_B,
       "6:19 InvalidValue spec.exportTo[1]", "cannot stand beside others"},
  };
  test::expect_findings(kRows, Severity::kError);
}

TEST(VirtualService, a_wrong_value_below_an_unsupported_field_is_still_an_error) {
  const auto findings = test::findings_of(
      VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - retries: {perTryTimeout: 5 s, atempts: 3}\n" TO_B);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(test::brief(findings[0]), "7:5 UnsupportedField spec.http[0].retries");
  EXPECT_EQ(test::brief(findings[1]), "7:30 InvalidValue spec.http[0].retries.perTryTimeout");
  EXPECT_EQ(test::brief(findings[2]), "7:35 UnknownField spec.http[0].retries.atempts");
}

TEST(VirtualService, fields_that_are_not_built_yet_are_named_with_their_path) {
  const auto decoded =
      test::decode_yaml(VIRTUAL_SERVICE
                        "  hosts: [a]\n"
                        "  http:\n"
                        "  - route: [{destination: {host: b}, headers: {request: {remove: [x]}}}]\n"
                        "    timeout: 1s\n"
                        "    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}\n"
                        "    fault: {delay: {percentage: {value: 0.1}, fixedDelay: 5s}}\n"
                        "    mirror: {host: c}\n"
                        "    mirrorPercentage: {value: 100.0}\n"
                        "    corsPolicy: {allowOrigins: [{exact: https://x}], maxAge: 24h}\n"
                        "    headers: {response: {set: {a: b}}}\n"
                        "    rewrite: {uri: /}\n"
                        "  tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: a}}]}]\n"
                        "  tcp: [{route: [{destination: {host: a}}]}]\n");
  ASSERT_EQ(decoded.size(), 1u);
  ASSERT_TRUE(decoded[0].object);
  std::vector<std::string> paths;
  for (const Finding& finding : decoded[0].findings) {
    EXPECT_EQ(finding.code, "UnsupportedField");
    EXPECT_EQ(finding.severity, Severity::kWarning);
    paths.push_back(finding.path);
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"spec.http[0].route[0].headers", "spec.http[0].timeout",
                                             "spec.http[0].retries", "spec.http[0].fault",
                                             "spec.http[0].mirror", "spec.http[0].mirrorPercentage",
                                             "spec.http[0].corsPolicy", "spec.http[0].headers",
                                             "spec.http[0].rewrite", "spec.tls", "spec.tcp"}));
  EXPECT_TRUE(as<VirtualService>(decoded[0].object)->has_tls);
}

TEST(VirtualService, a_redirect_is_kept_as_such_so_that_it_never_falls_through) {
  const auto decoded = test::decode_yaml(VIRTUAL_SERVICE "  hosts: [a]\n  http:\n  - redirect: {uri: /x}\n");
  ASSERT_TRUE(decoded.at(0).object);
  const auto service = as<VirtualService>(decoded[0].object);
  EXPECT_EQ(service->http.at(0).action, HttpRoute::Action::kRedirect);
  EXPECT_TRUE(service->http[0].route.empty());
  EXPECT_EQ(test::brief(decoded[0].findings.at(0)), "7:5 UnsupportedField spec.http[0].redirect");
}

TEST(VirtualService, all_conditions_of_a_match_are_read) {
  const auto decoded =
      test::decode_yaml(VIRTUAL_SERVICE
                        "  hosts: [a]\n  gateways: [mesh, gw, other/gw]\n  http:\n"
                        "  - name: first\n    match:\n"
                        "    - name: m\n"
                        "      uri: {prefix: /a}\n"
                        "      ignoreUriCase: true\n"
                        "      method: {exact: GET}\n"
                        "      authority: {regex: \"a.*\"}\n"
                        "      scheme: {exact: https}\n"
                        "      headers: {X-User: {exact: Joe}, x-any: {}, x-star: {regex: \"*\"}}\n"
                        "      withoutHeaders: {x-no: {prefix: p}}\n"
                        "      queryParams: {q: {regex: \"[0-9]+\"}, p: {}}\n"
                        "      port: 8080\n"
                        "      gateways: [gw]\n"
                        "      sourceLabels: {app: x}\n"
                        "      sourceNamespace: test\n" TO_B);
  for (const Finding& finding : decoded.at(0).findings) ADD_FAILURE() << to_string(finding);
  ASSERT_TRUE(decoded[0].object);
  const HttpMatch& match = as<VirtualService>(decoded[0].object)->http.at(0).match.at(0);
  using Form = StringMatch::Form;
  EXPECT_EQ(match.name, "m");
  EXPECT_EQ(match.uri, (StringMatch{Form::kPrefix, "/a"}));
  EXPECT_TRUE(match.ignore_uri_case);
  EXPECT_EQ(match.method, (StringMatch{Form::kExact, "GET"}));
  EXPECT_EQ(match.authority, (StringMatch{Form::kRegex, "a.*"}));
  EXPECT_EQ(match.scheme, (StringMatch{Form::kExact, "https"}));
  EXPECT_EQ(match.headers, (NamedMatches{{"x-user", {Form::kExact, "Joe"}}, {"x-any", {}}, {"x-star", {}}}));
  EXPECT_EQ(match.without_headers, (NamedMatches{{"x-no", {Form::kPrefix, "p"}}}));
  EXPECT_EQ(match.query_params, (NamedMatches{{"q", {Form::kRegex, "[0-9]+"}}, {"p", {}}}));
  EXPECT_EQ(match.port, 8080u);
  EXPECT_EQ(match.gateways, std::vector<std::string>{"gw"});
  EXPECT_EQ(match.source_labels, (Labels{{"app", "x"}}));
  EXPECT_EQ(match.source_namespace, "test");
  EXPECT_FALSE(match.unsupported);
  EXPECT_EQ(match.mark, (Mark{10, 7}));
}

TEST(VirtualService, claims_and_pseudo_headers_are_warned_about) {
  const auto decoded =
      test::decode_yaml(VIRTUAL_SERVICE
                        "  hosts: [a]\n  http:\n  - match: [{headers: {\"@request.auth.claims.x\": {exact: "
                        "a}, uri: {exact: /}}}]\n" TO_B);
  ASSERT_TRUE(decoded.at(0).object);
  EXPECT_EQ(decoded[0].findings.at(0).code, "UnsupportedValue");
  EXPECT_EQ(decoded[0].findings.at(1).code, "NoEffect");
  const HttpMatch& match = as<VirtualService>(decoded[0].object)->http.at(0).match.at(0);
  EXPECT_TRUE(match.unsupported);
  EXPECT_TRUE(match.headers.empty());
}

TEST(VirtualService, every_version_is_read_and_mesh_is_the_default_gateway) {
  for (const char* version : {"v1alpha3", "v1beta1", "v1"}) {
    const auto decoded = test::decode_yaml(
        std::string("apiVersion: networking.istio.io/") + version +
        "\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n  -\n" TO_B);
    ASSERT_TRUE(decoded.at(0).object) << version;
    EXPECT_EQ(as<VirtualService>(decoded[0].object)->gateways, std::vector<std::string>{"mesh"});
    EXPECT_EQ(decoded[0].object->meta.ns, "default");
  }
}

TEST(DestinationRule, values_that_istio_refuses_are_refused) {
  constexpr Row kRows[] = {
      {"no host", RULE "  subsets: []\n", "5:3 MissingField spec", "\"host\" is missing"},
      {"subset twice", RULE "  host: a\n  subsets: [{name: v1}, {name: v1}]\n",
       "6:32 InvalidValue spec.subsets[1].name", "occurs twice"},
      {"empty policy", RULE "  host: a\n  trafficPolicy: {}\n", "6:18 InvalidValue spec.trafficPolicy",
       "must not be empty"},
      {"misspelt policy", RULE "  host: a\n  trafficPolicy: {loadbalancer: {simple: RANDOM}}\n",
       "6:19 UnknownField spec.trafficPolicy.loadbalancer", "did you mean \"loadBalancer\"?"},
      {"label is a number", RULE "  host: a\n  subsets: [{name: v1, labels: {version: 1}}]\n",
       "6:42 WrongType spec.subsets[0].labels[version]", "write it in quotes"},
  };
  test::expect_findings(kRows, Severity::kError);
}

TEST(DestinationRule, traffic_policy_is_named_block_by_block) {
  const auto decoded =
      test::decode_yaml(RULE
                        "  host: a\n"
                        "  trafficPolicy:\n"
                        "    loadBalancer: {consistentHash: {httpCookie: {name: r, ttl: 172800s}}}\n"
                        "    connectionPool: {tcp: {maxConnections: 1}}\n"
                        "  subsets:\n"
                        "  - name: v1\n"
                        "    trafficPolicy: {tls: {mode: DISABLE}}\n"
                        "  workloadSelector: {matchLabels: {a: b}}\n");
  ASSERT_TRUE(decoded.at(0).object);
  std::vector<std::string> briefs;
  for (const Finding& finding : decoded[0].findings) briefs.push_back(test::brief(finding));
  EXPECT_EQ(briefs, (std::vector<std::string>{"7:5 UnsupportedField spec.trafficPolicy.loadBalancer",
                                              "8:5 UnsupportedField spec.trafficPolicy.connectionPool",
                                              "11:21 UnsupportedField spec.subsets[0].trafficPolicy.tls",
                                              "12:21 UnsupportedValue spec.workloadSelector"}));
  EXPECT_TRUE(as<DestinationRule>(decoded[0].object)->selects_clients);
}

#define SERVER(port, rest) GATEWAY "  servers:\n  - port: " port "\n    hosts: [\"*\"]\n" rest

TEST(Gateway, values_that_istio_refuses_are_refused) {
  constexpr Row kRows[] = {
      {"bad protocol", SERVER("{number: 80, name: a, protocol: HTTPX}", ""),
       "6:43 InvalidValue spec.servers[0].port.protocol", "expected HTTP, HTTPS"},
      {"no name", SERVER("{number: 80, protocol: HTTP}", ""), "6:11 MissingField spec.servers[0].port",
       "\"name\" is missing"},
      {"target port", SERVER("{number: 80, name: a, protocol: HTTP, targetPort: 1}", ""),
       "6:61 InvalidValue spec.servers[0].port.targetPort", "refuses"},
      {"no servers", GATEWAY "  selector: {a: b}\n", "5:3 MissingField spec", "\"servers\" is missing"},
      {"bad host",
       GATEWAY "  servers:\n  - port: {number: 80, name: a, protocol: HTTP}\n    hosts: [a/b/c]\n",
       "7:13 InvalidValue spec.servers[0].hosts[0]", "[namespace/]host"},
  };
  test::expect_findings(kRows, Severity::kError);
}

TEST(Gateway, what_cannot_be_served_keeps_its_port_closed) {
  constexpr Row kRows[] = {
      {"raw TCP", SERVER("{number: 80, name: a, protocol: TCP}", ""),
       "6:43 UnsupportedValue spec.servers[0].port.protocol", "stays closed"},
      {"redirect", SERVER("{number: 80, name: a, protocol: HTTP}", "    tls: {httpsRedirect: true}\n"),
       "8:11 UnsupportedField spec.servers[0].tls.httpsRedirect", "not support"},
      {"bind", SERVER("{number: 80, name: a, protocol: HTTP}", "    bind: 127.0.0.1\n"),
       "8:5 UnsupportedField spec.servers[0].bind", "not support"},
  };
  test::expect_findings(kRows, Severity::kWarning);
  for (const Row& row : kRows) {
    const auto decoded = test::decode_yaml(row.yaml);
    ASSERT_TRUE(decoded.at(0).object) << row.name;
    EXPECT_TRUE(as<Gateway>(decoded[0].object)->servers.at(0).unsupported) << row.name;
  }
  const auto bare = test::findings_of(SERVER("{number: 443, name: a, protocol: HTTPS}", ""));
  EXPECT_EQ(test::brief(bare.at(1)), "6:5 MissingField spec.servers[0]");
  const auto https = test::decode_yaml(
      SERVER("{number: 443, name: a, protocol: HTTPS}", "    tls: {mode: SIMPLE, credentialName: c}\n"));
  ASSERT_TRUE(https.at(0).object);
  EXPECT_TRUE(as<Gateway>(https[0].object)->servers.at(0).unsupported);
  EXPECT_EQ(as<Gateway>(https[0].object)->servers[0].tls_mode, "SIMPLE");
  EXPECT_EQ(https[0].findings.size(), 3u);
}

}  // namespace
}  // namespace weft::objects
