// weft in a cluster of another form than the rest of the tests have: pods and Services of both families, and
// kube-proxy on iptables.
#include <chrono>

#include "tests/cluster/mesh_lab.h"
#include "tests/support/wire.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

class CoexistTest : public MeshTest {
 protected:
  static void SetUpTestSuite() { bring_up("coexist", {"--dual-stack", "--proxy-mode", "iptables"}); }
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  // Of the pod and of the Service of that name, IPv4 and IPv6, as they stand before a port.
  static std::vector<std::string> addresses(const std::string& name) {
    std::vector<std::string> all;
    const nlohmann::json pod = lab().get("mesh", "pod", name), service = lab().get("mesh", "service", name);
    for (const auto& one : pod["status"]["podIPs"]) all.push_back(one["ip"]);
    for (const auto& one : service["spec"]["clusterIPs"]) all.push_back(one);
    EXPECT_EQ(all.size(), 4u) << name;
    for (std::string& one : all)
      if (one.find(':') != std::string::npos) one = "[" + one + "]";
    return all;
  }
  static uint64_t arrived(const std::string& node, const std::string& server, const std::string& security) {
    return metric(node, "istio_tcp_connections_opened_total",
                  {"reporter=\"destination\"", "connection_security_policy=\"" + security + "\"",
                   "source_principal=\"spiffe://cluster.local/ns/mesh/sa/client\"",
                   "destination_workload=\"" + server + "\""});
  }
};

TEST_F(CoexistTest, the_seed_application_answers_through_the_node_port_that_iptables_leads_to_the_gateway) {
  EXPECT_EQ(statuses(40), (Statuses{{"200", 40}}));
  const Answer rules = lab().in("node1", {"iptables-save", "-t", "nat"});
  EXPECT_NE(rules.out.find("istio-system/istio-ingressgateway:http2"), std::string::npos) << rules.err;
}

TEST_F(CoexistTest, between_nodes_it_is_mutual_tls_in_both_families_to_pods_and_to_services) {
  for (const std::string& to : addresses("far")) {
    const uint64_t before = arrived("node2", "far", "mutual_tls");
    EXPECT_TRUE(works("mesh", "client", to)) << to << call("mesh", "client", to);
    EXPECT_TRUE(eventually([&] { return arrived("node2", "far", "mutual_tls") == before + 1; }, seconds(5)))
        << to;
  }
}

TEST_F(CoexistTest, on_one_node_the_kernel_attests_in_both_families) {
  policy("AuthorizationPolicy", "rule",
         "{action: DENY, rules: [{from: [{source: {principals: ['*/sa/nobody']}}]}]}");
  ASSERT_TRUE(eventually([] {
    return works("mesh", "client", "near.mesh") && arrived("node1", "near", "kernel_attested") > 0;
  }));
  for (const std::string& to : addresses("near")) {
    const uint64_t before = arrived("node1", "near", "kernel_attested");
    EXPECT_TRUE(works("mesh", "client", to)) << to;
    EXPECT_TRUE(
        eventually([&] { return arrived("node1", "near", "kernel_attested") == before + 1; }, seconds(5)))
        << to;
  }
  remove_policy("authorizationpolicy", "rule");
}

TEST_F(CoexistTest, strict_refuses_an_outsider_in_both_families_and_the_wire_shows_nothing_of_the_mesh) {
  const std::string secret = "a-marker-of-the-mesh-in-two-families", open = "a-marker-of-an-outsider";
  const auto post = [](const std::string& ns, const std::string& pod, const std::string& to,
                       const std::string& marker) {
    return lab().exec(ns, pod, {"curl", "-sf", "-m", "5", "-d", marker, "http://" + to + ":8888/some"});
  };
  Wire wire("/run/netns/weft-" + lab().name() + "-node2", "eth0", {secret, open});
  for (const std::string& to : addresses("far")) {
    EXPECT_NE(post("mesh", "client", to, secret).out.find(secret), std::string::npos) << to;
    EXPECT_NE(post("plain", "outsider", to, open).out.find(open), std::string::npos) << to << ": permissive";
  }
  wire.stop();
  EXPECT_EQ(wire.trouble(), "");
  EXPECT_EQ(wire.found(0), 0u);
  EXPECT_GE(wire.found(1), 4u) << "each family, to the pod and to the Service";
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
  for (const char* server : {"far", "near"})
    for (const std::string& to : addresses(server)) {
      const nlohmann::json seen = call("plain", "outsider", to);
      EXPECT_TRUE(is_refused(seen)) << to << seen;
      EXPECT_TRUE(works("mesh", "client", to)) << to;
    }
  remove_policy("peerauthentication", "default");
}

}  // namespace
}  // namespace weft::test
