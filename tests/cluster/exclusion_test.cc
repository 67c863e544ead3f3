// Exclusions of real pods (reference enrolment.md 6, row 13): by annotation and by object, live, seen on both
// sides, and said on the pod. far is on another node than client and outsider; STRICT tells plain from mTLS.
#include <chrono>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

const std::string kOutboundPorts = "traffic.sidecar.istio.io/excludeOutboundPorts";
const std::string kInboundPorts = "traffic.sidecar.istio.io/excludeInboundPorts";

class ExclusionTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
    policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
    ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
    started_ = restarts();
  }
  void TearDown() override {
    for (const char* pod : {"client", "far"})
      for (const std::string& key : {kOutboundPorts, kInboundPorts}) annotate(pod, key + "-");
    remove_policy("captureexclusion", "some");
    remove_policy("peerauthentication", "default");
    EXPECT_TRUE(eventually([] { return works("plain", "outsider", "far.mesh"); }));
    EXPECT_EQ(restarts(), started_) << "nothing of this needs a restart";
  }
  static void annotate(const std::string& pod, const std::string& word) {
    const Answer answer = lab().kubectl({"annotate", "pod", pod, "-n", "mesh", "--overwrite", word});
    EXPECT_TRUE(answer.ok()) << answer.err;
  }
  static std::string excluded(const std::string& pod) {
    return annotation("mesh", pod, "weft.mesh/excluded");
  }
  static bool web_works(const std::string& ns, const std::string& pod) {
    return lab().exec(ns, pod, {"curl", "-sf", "-m", "5", "http://far.mesh:8888/"}).ok();
  }
  // TCP connections from client that far's proxy has let in by mTLS.
  static uint64_t mutual() {
    return metric("node2", "istio_tcp_connections_opened_total",
                  {"reporter=\"destination\"", "connection_security_policy=\"mutual_tls\"",
                   "source_principal=\"spiffe://cluster.local/ns/mesh/sa/client\""});
  }
  static std::string events(const std::string& pod) {
    return lab()
        .kubectl({"get", "events", "-n", "mesh", "--field-selector", "involvedObject.name=" + pod, "-o",
                  "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}"})
        .out;
  }
  static bool is_told(const std::string& pod, const std::string& words) {
    return eventually([&] { return events(pod).find(words) != std::string::npos; });
  }
  // Of all pods of the namespace: "client 0 0;..."
  static std::string restarts() {
    return lab()
        .kubectl(
            {"get", "pods", "-n", "mesh", "-o",
             "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount};{end}"})
        .out;
  }
  // "counters" of the node's agent, as its report has them.
  static uint64_t agent_counter(const std::string& node, const std::string& room, const std::string& name) {
    const Answer answer =
        lab().in(node, {"bash", "-c",
                        "for pid in $(pgrep -x weft-agent); do cat /proc/$pid/cwd/run/weft-status/Agent." +
                            node + ".json 2>/dev/null && break; done"});
    const auto report = nlohmann::json::parse(answer.out, nullptr, false);
    if (report.is_discarded()) return UINT64_MAX;
    const auto& counters = room.empty() ? report["counters"] : report[room]["counters"];
    return counters.value(name, uint64_t{0});
  }

 private:
  std::string started_;
};

TEST_F(ExclusionTest,
       an_outsider_comes_in_at_an_excluded_port_of_a_strict_pod_at_no_other_and_only_while_it_is_asked) {
  annotate("far", kInboundPorts + "=7000");
  ASSERT_TRUE(eventually([] { return works("plain", "outsider", "far.mesh"); }))
      << call("plain", "outsider", "far.mesh");
  EXPECT_FALSE(web_works("plain", "outsider"));
  EXPECT_TRUE(eventually([] { return excluded("far") == "inbound 7000"; })) << excluded("far");
  EXPECT_TRUE(is_told("far", "MeshExcluded: goes around the mesh: inbound 7000"));
  EXPECT_TRUE(is_captured("mesh", "far"));
  // The mesh's own callers leave that port out too, on the other node, and reach the other port as before.
  const uint64_t before = mutual();
  EXPECT_TRUE(works("mesh", "client", "far.mesh")) << call("mesh", "client", "far.mesh");
  EXPECT_TRUE(web_works("mesh", "client"));
  EXPECT_TRUE(eventually([&] { return mutual() == before + 1; }, seconds(5))) << mutual() - before;
  annotate("far", kInboundPorts + "-");
  EXPECT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh"); }));
  EXPECT_TRUE(eventually([] { return excluded("far").empty(); }));
  EXPECT_TRUE(is_told("far", "MeshExcluded: nothing goes around the mesh any more"));
}

TEST_F(ExclusionTest, calls_to_an_excluded_port_arrive_as_an_outsiders_through_the_clusters_own_services) {
  const std::string node = lab().get("mesh", "pod", "client")["spec"]["nodeName"];
  annotate("client", kOutboundPorts + "=7000");
  ASSERT_TRUE(eventually([] { return is_refused(call("mesh", "client", "far.mesh")); }))
      << call("mesh", "client", "far.mesh");
  EXPECT_TRUE(web_works("mesh", "client")) << "all other ports go by mTLS";
  EXPECT_TRUE(eventually([] { return excluded("client") == "outbound 7000"; })) << excluded("client");
  remove_policy("peerauthentication", "default");
  const uint64_t before = mutual();
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh"); }))
      << "kube-proxy translates the address";
  EXPECT_EQ(mutual(), before);
  EXPECT_TRUE(eventually([&] { return agent_counter(node, "", "excluding_pods") == 1; }))
      << agent_counter(node, "", "excluding_pods");
  EXPECT_GT(agent_counter(node, "kernel", "excluded_port"), 0U);
}

TEST_F(ExclusionTest, an_object_leaves_a_range_out_for_the_pods_that_it_selects_and_says_how_many_have_it) {
  const std::string far = lab().get("mesh", "pod", "far")["status"]["podIP"];
  ASSERT_TRUE(works("mesh", "client", far));
  apply(
      "apiVersion: weft.mesh/v1alpha1\nkind: CaptureExclusion\nmetadata: {name: some, namespace: "
      "mesh}\nspec: "
      "{selector: {matchLabels: {app: client}}, outbound: {cidrs: [" +
      far + "/32]}}\n");
  ASSERT_TRUE(eventually([&] { return is_refused(call("mesh", "client", far)); }))
      << call("mesh", "client", far);
  EXPECT_TRUE(works("mesh", "client", "far.mesh")) << "the Service's address is not in the range";
  EXPECT_TRUE(works("mesh", "near", far)) << "another pod";
  const auto conditions = [] {
    return lab()
        .kubectl({"get", "captureexclusion", "some", "-n", "mesh", "-o",
                  "jsonpath={range .status.conditions[*]}{.type}={.status} {.message}{'\\n'}{end}"})
        .out;
  };
  EXPECT_TRUE(eventually([&] {
    return conditions().find("Accepted=True") != std::string::npos &&
           conditions().find("Enforced=True 1/1") != std::string::npos;
  })) << conditions();
  EXPECT_EQ(excluded("client"), "outbound " + far + "/32");
  remove_policy("captureexclusion", "some");
  EXPECT_TRUE(eventually([&] { return works("mesh", "client", far); }));
}

TEST_F(ExclusionTest, a_malformed_annotation_excludes_nothing_and_is_told) {
  annotate("client", kOutboundPorts + "=7000,mysql");
  EXPECT_TRUE(is_told("client", "MeshExclusionRefused: annotation " + kOutboundPorts));
  EXPECT_TRUE(works("mesh", "client", "far.mesh")) << call("mesh", "client", "far.mesh");
  EXPECT_TRUE(web_works("mesh", "client"));
  EXPECT_TRUE(is_captured("mesh", "client"));
  EXPECT_EQ(excluded("client"), "");
}

}  // namespace
}  // namespace weft::test
