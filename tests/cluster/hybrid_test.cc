// Hybrid cgroups (the controllers in v1, an empty v2 tree beside them) with kube-proxy on iptables; first the
// cluster itself, then weft in it, put there while every node still bears the start-up taint. One cluster, in
// this order.
#include <gtest/gtest.h>

#include <memory>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

class HybridTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    lab_ =
        std::make_unique<KubeLab>("hybrid", KubeLab::Words{"--cgroup", "hybrid", "--proxy-mode", "iptables"});
  }
  static void TearDownTestSuite() { lab_.reset(); }
  void SetUp() override { ASSERT_EQ(lab_->trouble(), ""); }

  static bool is_captured(const std::string& pod) {
    const auto object = lab_->get("mesh", "pod", pod);
    return !object.is_null() && object["metadata"].contains("annotations") &&
           object["metadata"]["annotations"].value("ambient.istio.io/redirection", "") == "enabled";
  }
  // What probe says of one connection to the echo of `to`.
  static std::string call(const std::string& ns, const std::string& pod, const std::string& to) {
    return lab_->exec(ns, pod, {"probe", "connect", to + ":7000", "--bytes", "1000", "--seconds", "5"}).out;
  }
  static bool works(const std::string& ns, const std::string& pod, const std::string& to) {
    const auto line = nlohmann::json::parse(call(ns, pod, to), nullptr, false);
    return line.is_object() && line.value("end", "") == "eof" && line.value("received", 0) == 1000;
  }

  static std::unique_ptr<KubeLab> lab_;
};

std::unique_ptr<KubeLab> HybridTest::lab_;

TEST_F(HybridTest, memory_is_limited_in_v1_and_the_same_pod_is_named_in_v2) {
  ASSERT_EQ(apply_pair(*lab_), "");
  EXPECT_TRUE(eventually(
      [] {
        return lab_->exec("default", "client", {"curl", "-sf", "-m", "5", "http://server"}).ok();
      },
      seconds(20)))
      << lab_->kubectl({"get", "pods", "-A", "-o", "wide"}).out;
  const std::string uid = lab_->get("default", "pod", "server")["metadata"]["uid"];
  const Answer limit = lab_->in("node1", {"sh", "-c",
                                          "cat /sys/fs/cgroup/memory/kubepods/*/pod" + uid +
                                              "/memory.limit_in_bytes /sys/fs/cgroup/memory/kubepods/pod" +
                                              uid + "/memory.limit_in_bytes 2>/dev/null"});
  EXPECT_EQ(limit.out, "67108864\n") << limit.err;
  const Answer unified = lab_->in("node1", {"find", "/sys/fs/cgroup/unified/kubepods", "-name", "pod" + uid});
  EXPECT_NE(unified.out, "");
  EXPECT_NE(lab_->in("node1", {"iptables-save", "-t", "nat"}).out.find("KUBE-SVC-"), std::string::npos);
}

// Nothing but what is named in its tolerations goes to a node with the taint: neither the cluster's DNS,
// which the agents ask for the CA, nor the gateway. The agents and control have to get on without.
TEST_F(HybridTest,
       on_nodes_that_all_bear_the_start_up_taint_weft_comes_up_frees_them_and_takes_a_pod_of_before) {
  ASSERT_TRUE(lab_->apply(namespace_manifest("mesh", "weft.mesh/enabled: 'true'")).ok());
  ASSERT_TRUE(lab_->in("node1", {"sh", "-c",
                                 "cat >/etc/kubernetes/manifests/fixed.yaml <<'END'\n" +
                                     static_pod_manifest("mesh", "fixed") + "END\n"})
                  .ok());
  ASSERT_TRUE(lab_->has_ready_pods("mesh", "app=fixed", 1)) << "a static pod that runs before any agent";
  ASSERT_TRUE(
      lab_->kubectl({"taint", "nodes", "node1", "node2", "weft.mesh/agent-not-ready=:NoSchedule"}).ok());
  ASSERT_TRUE(lab_->kubectl({"delete", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--now"}).ok());
  const UserShell user(*lab_);
  const Answer installed = user.line("istioctl manifest apply", seconds(180));
  ASSERT_TRUE(installed.ok()) << installed.out << installed.err;
  for (const char* node : {"node1", "node2"}) {
    EXPECT_TRUE(
        eventually([&] { return capture_condition(*lab_, node) == "True ProgramsAttached"; }, seconds(20)))
        << node << " " << capture_condition(*lab_, node);
    EXPECT_FALSE(has_startup_taint(*lab_, node)) << node;
  }
  EXPECT_TRUE(lab_->has_ready_pods("kube-system", "k8s-app=kube-dns", 2));
  EXPECT_TRUE(eventually([] { return is_captured("fixed-node1"); }, seconds(30)))
      << lab_->kubectl({"describe", "pod", "fixed-node1", "-n", "mesh"}).out;
}

TEST_F(HybridTest, a_strict_pod_passes_its_probes_and_a_call_between_nodes_is_mutual_tls) {
  ASSERT_TRUE(
      lab_->apply("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, "
                  "namespace: mesh}\nspec: {mtls: {mode: STRICT}}\n")
          .ok());
  ASSERT_TRUE(lab_->apply(namespace_manifest("plain") + pod_manifest("mesh", "near", "node1") +
                          pod_manifest("mesh", "far", "node2") + pod_manifest("plain", "outsider", "node1"))
                  .ok());
  EXPECT_TRUE(lab_->has_ready_pods("mesh", "app in (near, far)", 2))
      << "kubelet's probes are told from other calls\n"
      << lab_->kubectl({"describe", "pods", "-n", "mesh"}).out;
  EXPECT_TRUE(eventually([] { return works("mesh", "near", "far.mesh"); }, seconds(30)))
      << call("mesh", "near", "far.mesh");
  const std::string fixed = lab_->get("mesh", "pod", "fixed-node1")["status"]["podIP"];
  EXPECT_TRUE(eventually([&] { return works("mesh", "far", fixed); }, seconds(30)));
  for (const std::string& to : {std::string("far.mesh"), fixed})
    EXPECT_FALSE(works("plain", "outsider", to))
        << "what is not mutual TLS is refused, so the calls above were";
}

}  // namespace
}  // namespace weft::test
