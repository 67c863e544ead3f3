// Namespaces with a NetworkPolicy. The cluster's plugins enforce none, so a node's firewall is written here as a plugin
// that does would write it for the policy below.
#include <chrono>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

class NetworkPolicyTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  void TearDown() override {
    (void)lab().in("node2", {"nft", "delete", "table", "ip", "weft_test"});
    lab().kubectl({"delete", "networkpolicy", "mesh-port", "-n", "mesh", "--ignore-not-found"});
  }
  static void firewall(KubeLab::Words words) {
    words.insert(words.begin(), "nft");
    const Answer answer = lab().in("node2", std::move(words));
    ASSERT_TRUE(answer.ok()) << answer.err;
  }
};

TEST_F(NetworkPolicyTest, a_policy_that_admits_the_mesh_port_alone_shuts_out_strangers_and_nobody_of_the_mesh) {
  apply(R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mesh-port, namespace: mesh}
spec:
  podSelector: {matchLabels: {app: far}}
  policyTypes: [Ingress]
  ingress: [{ports: [{protocol: TCP, port: 15008}]}]
)");
  const std::string far = lab().get("mesh", "pod", "far")["status"]["podIP"];
  ASSERT_TRUE(works("plain", "outsider", "far.mesh")) << "permissive";
  ASSERT_NO_FATAL_FAILURE(firewall({"add", "table", "ip", "weft_test"}));
  ASSERT_NO_FATAL_FAILURE(firewall({"add", "chain", "ip", "weft_test", "in", "{ type filter hook forward priority 0 ; }"}));
  ASSERT_NO_FATAL_FAILURE(firewall({"add", "rule", "ip", "weft_test", "in", "ip", "daddr", far, "tcp", "dport", "!=", "15008", "ct",
                        "state", "new", "counter", "drop"}));
  EXPECT_FALSE(works("plain", "outsider", "far.mesh"));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(works("mesh", "client", "far.mesh")) << i;
  EXPECT_TRUE(lab().has_ready_pods("mesh", "app=far", 1, seconds(5))) << "kubelet's probes come from the node";
}

}  // namespace
}  // namespace weft::test
