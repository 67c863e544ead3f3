// Identity between real pods: certificates come from projected tokens, who may speak to whom from Istio's
// objects.
#include <chrono>
#include <sstream>
#include <thread>

#include "tests/cluster/mesh_lab.h"
#include "tests/support/wire.h"

namespace weft::test {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

class MeshIdentityTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  void TearDown() override {
    remove_policy("peerauthentication", "default");
    remove_policy("authorizationpolicy", "rule");
  }
  static uint64_t arrived(const std::string& node, const std::string& server, const std::string& security) {
    return metric(node, "istio_tcp_connections_opened_total",
                  {"reporter=\"destination\"", "connection_security_policy=\"" + security + "\"",
                   "source_principal=\"spiffe://cluster.local/ns/mesh/sa/client\"",
                   "destination_service=\"" + server + ".mesh.svc.cluster.local\""});
  }
  // The words of the proxies' access logs, which are off but for this.
  static void access_log(bool on) {
    const std::string ask = "http://127.0.0.1:15000/logging?access=" + std::string(on ? "on" : "off");
    for (const char* node : {"node1", "node2"})
      EXPECT_TRUE(lab()
                      .in(node, {"bash", "-c",
                                 "for pid in $(pgrep -x weft-proxy); do nsenter --net=/proc/$pid/ns/net curl "
                                 "-sf -m 5 -X POST '" +
                                     ask + "' || exit; done"})
                      .ok())
          << node;
  }
  static std::string proxies_said() {
    return lab().kubectl({"logs", "-n", "weft-system", "-l", "app=weft-proxy", "--tail", "200"}).out;
  }
};

TEST_F(MeshIdentityTest, between_nodes_it_is_mutual_tls_and_on_one_node_the_kernel_attests) {
  const uint64_t mutual = arrived("node2", "far", "mutual_tls");
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
  EXPECT_TRUE(eventually([&] { return arrived("node2", "far", "mutual_tls") == mutual + 1; }, seconds(5)));
  // Names that end so are beyond the kernel's tables: arrivals are the proxy's, also those that the kernel
  // attests.
  policy("AuthorizationPolicy", "rule",
         "{action: DENY, rules: [{from: [{source: {principals: ['*/sa/nobody']}}]}]}");
  EXPECT_TRUE(eventually([] {
    return works("mesh", "client", "near.mesh") && arrived("node1", "near", "kernel_attested") > 0;
  }));
}

TEST_F(MeshIdentityTest,
       on_the_wire_between_nodes_nothing_of_the_mesh_can_be_read_and_the_capture_would_have_seen_it) {
  const auto posted = [](const std::string& from_ns, const std::string& from, const std::string& marker) {
    return lab()
        .exec(from_ns, from, {"curl", "-sf", "-m", "5", "-d", marker, "http://far.mesh:8888/some"})
        .out;
  };
  const std::string secret = "a-marker-between-pods-of-the-mesh", open = "a-marker-of-a-pod-outside-the-mesh";
  Wire wire("/run/netns/weft-" + lab().name() + "-node2", "eth0", {secret, open});
  EXPECT_NE(posted("mesh", "client", secret).find(secret), std::string::npos);
  EXPECT_NE(posted("plain", "outsider", open).find(open), std::string::npos) << "permissive";
  wire.stop();
  EXPECT_EQ(wire.trouble(), "");
  EXPECT_EQ(wire.found(0), 0u);
  EXPECT_GT(wire.found(1), 0u);
  EXPECT_GT(wire.bytes_of_port(15008), secret.size());
}

TEST_F(MeshIdentityTest, strict_refuses_who_is_not_enrolled_at_once_and_admits_the_mesh_and_the_kubelet) {
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
  for (const char* server : {"near.mesh", "far.mesh"}) {
    const auto start = steady_clock::now();
    const nlohmann::json seen = call("plain", "outsider", server);
    EXPECT_TRUE(is_refused(seen)) << server << seen;
    EXPECT_LT(steady_clock::now() - start, seconds(3)) << server;
    EXPECT_TRUE(works("mesh", "client", server)) << server;
  }
  std::this_thread::sleep_for(seconds(5));  // a probe each second, and one that fails is enough
  EXPECT_EQ(lab().ready_pods("mesh", "app").size(), 3u);
  for (const auto& pod : lab().ready_pods("mesh", "app"))
    for (const auto& container : pod["status"]["containerStatuses"])
      EXPECT_EQ(container["restartCount"], 0) << container;
  // The node's own processes get no hole from that.
  const std::string address = lab().get("mesh", "pod", "far")["status"]["podIP"];
  EXPECT_FALSE(lab().in("node2", {"curl", "-s", "-m", "3", "http://" + address + ":8888/"}).ok());
  remove_policy("peerauthentication", "default");
  EXPECT_TRUE(eventually([] { return works("plain", "outsider", "far.mesh"); }));
}

TEST_F(MeshIdentityTest, a_denial_by_principal_is_felt_by_that_one_only_and_names_its_rule) {
  policy("AuthorizationPolicy", "rule",
         "{action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/mesh/sa/client]}}]}]}");
  ASSERT_TRUE(eventually([] { return call("mesh", "client", "near.mesh")["end"] == "EPERM"; }));
  ASSERT_TRUE(eventually([] { return is_refused(call("mesh", "client", "far.mesh")); }));
  EXPECT_TRUE(works("mesh", "near", "far.mesh"));
  access_log(true);
  EXPECT_TRUE(is_refused(call("mesh", "client", "far.mesh")));
  EXPECT_TRUE(eventually(
      [] {
        return proxies_said().find("(AuthorizationPolicy\\x20mesh/rule\\x20rules[0])") != std::string::npos;
      },
      seconds(5)))
      << proxies_said();
  access_log(false);
  remove_policy("authorizationpolicy", "rule");
  EXPECT_TRUE(
      eventually([] { return works("mesh", "client", "near.mesh") && works("mesh", "client", "far.mesh"); }));
}

TEST_F(MeshIdentityTest, the_gateway_proves_itself_to_strict_pods) {
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}", "dev");
  const auto plain_caller = [] {
    return lab().exec("plain", "outsider", {"curl", "-s", "-m", "5", "http://httpgo.dev:8888/"}).exit_code;
  };
  EXPECT_TRUE(eventually([&] { return plain_caller() == 56 || plain_caller() == 52; })) << plain_caller();
  EXPECT_EQ(statuses(40), (Statuses{{"200", 40}}));
  remove_policy("peerauthentication", "default", "dev");
  EXPECT_TRUE(eventually([&] { return plain_caller() == 0; }));
}

// Neither the API server nor the CA is found by a name: a node that boots with the only DNS pod would wait for it.
TEST_F(MeshIdentityTest, a_gateway_that_begins_while_no_name_resolves_has_its_certificate_and_serves) {
  const auto dns = [](const char* replicas) {
    return lab().kubectl({"scale", "deployment/coredns", "-n", "kube-system", "--replicas", replicas}).ok();
  };
  const auto resolves = [] {
    const KubeLab::Words ask = {"curl", "-s", "-m", "2", "-o", "/dev/null", "http://far.mesh.svc.cluster.local:8888/"};
    return lab().exec("mesh", "client", ask).exit_code == 0;
  };
  const auto gateway = [](const KubeLab::Words& verb) {
    KubeLab::Words words = {"rollout"};
    words.insert(words.end(), verb.begin(), verb.end());
    words.insert(words.end(), {"deployment/istio-ingressgateway", "-n", "istio-system"});
    return lab().kubectl(words);
  };
  ASSERT_TRUE(eventually(resolves));
  EXPECT_TRUE(dns("0"));
  // While the last of them terminates it still answers: kube-proxy has nobody else.
  EXPECT_TRUE(eventually(
      [] { return lab().kubectl({"get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "-o", "name"}).out.empty(); },
      seconds(40)));
  EXPECT_FALSE(resolves());
  EXPECT_TRUE(gateway({"restart"}).ok());
  const Answer ready = gateway({"status", "--timeout=40s"});
  EXPECT_TRUE(ready.ok()) << ready.out << ready.err;
  EXPECT_EQ(statuses(20), (Statuses{{"200", 20}}));
  EXPECT_FALSE(resolves()) << "all the while";
  EXPECT_TRUE(dns("2"));
  EXPECT_TRUE(eventually(resolves, seconds(40)));
}

}  // namespace
}  // namespace weft::test
