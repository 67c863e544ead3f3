// What is wrong is named with its place. Each row: a manifest, and what is said about it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

using Row = test::FindingRow;

TEST(Findings, what_is_no_object_of_a_known_kind_is_refused) {
  constexpr Row kRows[] = {
      {"scalar", "hello\n", "1:1 NotAnObject", "expected an object"},
      {"list", "- a\n", "1:1 NotAnObject", "found a list"},
      {"no kind", "apiVersion: v1\n", "1:1 MissingField", "\"kind\" is missing"},
      {"no version", "\nkind: Pod\n", "2:1 MissingField", "\"apiVersion\" is missing"},
      {"kind is a number", "apiVersion: v1\nkind: 7\n", "2:7 WrongType", "found the integer 7"},
      {"misspelt kind", "apiVersion: v1\nkind: Servce\n", "2:7 UnknownKind kind",
       "did you mean \"Service\"?"},
      {"unheard-of kind", "apiVersion: v1\nkind: Zebra\n", "2:7 UnknownKind kind", "unknown kind \"Zebra\""},
      {"kind to come", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n",
       "2:7 UnsupportedKind kind", "does not read objects of kind RequestAuthentication yet"},
      {"the other Gateway", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n",
       "1:13 UnsupportedKind apiVersion", "only networking.istio.io"},
      {"wrong group", "apiVersion: v1\nkind: Deployment\n", "1:13 UnknownVersion apiVersion",
       "expected apps/v1 for kind Deployment, found the string \"v1\""},
      {"wrong version", "apiVersion: networking.istio.io/v1alpha1\nkind: VirtualService\n",
       "1:13 UnknownVersion apiVersion", "networking.istio.io/v1alpha3"},
  };
  test::expect_findings(kRows, Severity::kError);
}

TEST(Findings, metadata_is_checked) {
  constexpr Row kRows[] = {
      {"no name", "apiVersion: v1\nkind: Namespace\nmetadata:\n  labels: {}\n", "4:3 MissingField metadata",
       "\"name\" is missing"},
      {"bad name", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: Dev_1\n",
       "4:9 InvalidValue metadata.name", "lower-case letters"},
      {"namespace of a Namespace", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  namespace: b\n",
       "5:14 InvalidValue metadata.namespace", "lies in no namespace"},
      {"bad label", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    a: b c\n",
       "6:8 InvalidValue metadata.labels[a]", "label value"},
      {"label is a boolean", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    a: yes\n",
       "6:8 WrongType metadata.labels[a]", "found the boolean true; write it in quotes"},
      {"label is a number", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    a: 1.10\n",
       "6:8 WrongType metadata.labels[a]", "write it in quotes"},
      {"bad time", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  creationTimestamp: yesterday\n",
       "5:22 InvalidValue metadata.creationTimestamp", "2026-01-31T12:00:00Z"},
      {"misspelt", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  lables: {}\n",
       "5:3 UnknownField metadata.lables", "did you mean \"labels\"?"},
  };
  test::expect_findings(kRows, Severity::kError);
}

#define SERVICE "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: dev}\nspec:\n"
#define DEPLOYMENT "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n"

TEST(Findings, core_kinds_are_checked) {
  constexpr Row kRows[] = {
      {"misspelt field", SERVICE "  prots: []\n  ports: [{port: 80}]\n", "5:3 UnknownField spec.prots",
       "\"ports\"?"},
      {"unknown field", SERVICE "  ports:\n  - port: 80\n    zebra: 1\n",
       "7:5 UnknownField spec.ports[0].zebra",
       "expected one of name, protocol, appProtocol, port, targetPort, nodePort"},
      {"port as string", SERVICE "  ports:\n  - port: \"80\"\n", "6:11 WrongType spec.ports[0].port",
       "found the string \"80\"; write it without quotes"},
      {"port too large", SERVICE "  ports:\n  - port: 99999\n", "6:11 InvalidValue spec.ports[0].port",
       "an integer from 1 to 65535"},
      {"port missing", SERVICE "  ports:\n  - name: http\n", "6:5 MissingField spec.ports[0]",
       "\"port\" is missing"},
      {"ports is a mapping", SERVICE "  ports:\n    port: 80\n", "6:5 WrongType spec.ports",
       "expected a list"},
      {"bad type", SERVICE "  type: Nodeport\n  ports: [{port: 80}]\n", "5:9 InvalidValue spec.type",
       "did you mean NodePort?"},
      {"node port without type", SERVICE "  ports: [{port: 80, nodePort: 30000}]\n",
       "5:32 InvalidValue spec.ports[0].nodePort", "needs type NodePort"},
      {"two ports, one name", SERVICE "  ports: [{port: 80, name: a}, {port: 81, name: a}]\n",
       "5:49 InvalidValue spec.ports[1].name", "occurs twice"},
      {"two ports, one number", SERVICE "  ports: [{port: 80, name: a}, {port: 80, name: b}]\n",
       "5:39 InvalidValue spec.ports[1].port", "occurs twice"},
      {"bad cluster ip", SERVICE "  clusterIP: 10.0.0\n  ports: [{port: 80}]\n",
       "5:14 InvalidValue spec.clusterIP", "expected an IP address"},
      {"no ports", SERVICE "  selector: {a: b}\n", "5:3 MissingField spec", "\"ports\" is missing"},
      {"no spec", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "1:1 MissingField",
       "\"spec\" is missing"},
      {"service name begins with a digit",
       "apiVersion: v1\nkind: Service\nmetadata: {name: 1a}\nspec: {ports: [{port: 1}]}\n",
       "3:18 InvalidValue metadata.name", "expected a name"},
      {"selector and template differ",
       DEPLOYMENT "  selector: {matchLabels: {a: b}}\n  template: {spec: {containers: [{name: c}]}}\n",
       "5:27 InvalidValue spec.selector.matchLabels", "do not have a=b"},
      {"misspelt below an ignored field",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    resources:\n"
       "      limit: {cpu: 1}\n",
       "8:7 UnknownField spec.containers[0].resources.limit", "did you mean \"limits\"?"},
      {"two probe methods",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    "
       "readinessProbe:\n"
       "      exec: {command: [a]}\n      tcpSocket: {port: 1}\n",
       "8:7 InvalidValue spec.containers[0].readinessProbe", "exactly one of"},
      {"loopback endpoint",
       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: "
       "IPv4\nendpoints:\n"
       "- addresses: [127.0.0.1]\n",
       "6:15 InvalidValue endpoints[0].addresses[0]", "loopback"},
      {"endpoint of another family",
       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: "
       "IPv6\nendpoints:\n"
       "- addresses: [10.0.0.1]\n",
       "6:15 InvalidValue endpoints[0].addresses[0]", "addressType"},
  };
  test::expect_findings(kRows, Severity::kError);
}

TEST(Findings, a_list_is_decoded_item_by_item) {
  const auto decoded = test::decode_yaml(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- 7\n");
  ASSERT_EQ(decoded.size(), 2u);
  EXPECT_TRUE(decoded[0].object);
  ASSERT_EQ(decoded[1].findings.size(), 1u);
  EXPECT_EQ(test::brief(decoded[1].findings[0]), "5:3 NotAnObject");
}

TEST(Findings, all_findings_of_an_object_come_at_once_and_name_it) {
  const auto decoded = test::decode_yaml(SERVICE "  prots: []\n  type: x\n  selector: 1\n");
  ASSERT_EQ(decoded.size(), 1u);
  EXPECT_FALSE(decoded[0].object);
  EXPECT_EQ(decoded[0].findings.size(), 3u);
  for (const Finding& finding : decoded[0].findings)
    EXPECT_EQ(finding.object, (ObjectKey{Kind::kService, "dev", "a"}));
}

TEST(Findings, are_bounded_however_broken_the_document) {
  std::string yaml = SERVICE;
  for (int i = 0; i < 5000; ++i) yaml += "  zebra" + std::to_string(i) + ": 1\n";
  const auto findings = test::findings_of(yaml);
  ASSERT_EQ(findings.size(), 101u);
  EXPECT_EQ(findings.back().code, "MoreFindings");
  EXPECT_EQ(findings.back().message, "4900 more findings in this document are not listed");
}

TEST(Findings, read_as_one_line) {
  const auto findings = test::findings_of(SERVICE "  ports: [{port: 80}]\n  typ: ClusterIP\n");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(to_string(findings[0]),
            "test.yaml:6:3: error: spec.typ: unknown field, did you mean \"type\"? [UnknownField]");
}

}  // namespace
}  // namespace weft::objects
