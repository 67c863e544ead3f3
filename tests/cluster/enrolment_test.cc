// Enrolment of real pods (reference enrolment.md 6): captured from their first packet, live in both
// directions, said on the pod, and nothing of it felt by who is calling.
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

constexpr const char* kConf = "/etc/cni/net.d/10-bridge.conflist";

class EnrolmentTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  static std::string events(const std::string& ns, const std::string& pod) {
    return lab()
        .kubectl({"get", "events", "-n", ns, "--field-selector", "involvedObject.name=" + pod, "-o",
                  "jsonpath={range .items[*]}{.reason}{'\\n'}{end}"})
        .out;
  }
  static std::string notes(const std::string& ns, const std::string& pod, const std::string& reason) {
    return lab()
        .kubectl({"get", "events", "-n", ns, "--field-selector", "involvedObject.name=" + pod + ",reason=" + reason,
                  "-o", "jsonpath={range .items[*]}{.message}{'\\n'}{end}"})
        .out;
  }
  // Connections of before that this agent's policy has ended.
  static int ended(const std::string& node, const std::string& pod) {
    const nlohmann::json report = agent_report(node);
    for (const auto& one : report.value("pods", nlohmann::json::array()))
      if (one["name"] == pod) return one.value("preMeshEnded", 0);
    return 0;
  }
  static void kill_agents() {
    for (const char* node : {"node1", "node2"}) {
      const auto agents = processes("weft-system", "app=weft-agent", node, "weft-agent");
      ASSERT_FALSE(agents.empty());
      for (const pid_t agent : agents) ASSERT_EQ(kill(agent, SIGKILL), 0);
    }
  }
  static bool ready(const std::string& ns, const std::string& app) {
    return lab().has_ready_pods(ns, "app=" + app, 1);
  }
};

TEST_F(EnrolmentTest, a_pod_says_that_it_is_captured_and_an_event_tells_it) {
  for (const char* pod : {"client", "near", "far"}) {
    EXPECT_TRUE(is_captured("mesh", pod)) << pod;
    EXPECT_NE(annotation("mesh", pod, "weft.mesh/captured"), "") << pod;
    EXPECT_TRUE(eventually([&] { return events("mesh", pod).find("MeshCaptured\n") != std::string::npos; }))
        << pod;
  }
  EXPECT_FALSE(is_captured("plain", "outsider"));
}

TEST_F(EnrolmentTest, pods_that_opt_out_or_have_the_nodes_network_are_left_alone) {
  apply(pod_manifest("mesh", "apart", "node1", "istio.io/dataplane-mode: none, ") +
        pod_manifest("mesh", "host", "node2", "",
                     "  hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet\n"));
  ASSERT_TRUE(ready("mesh", "apart"));
  ASSERT_TRUE(ready("mesh", "host"));
  EXPECT_TRUE(works("plain", "outsider", "apart.mesh"));
  EXPECT_TRUE(works("mesh", "host", "far.mesh")) << call("mesh", "host", "far.mesh");
  EXPECT_TRUE(works("mesh", "client", "apart.mesh"))
      << "what an enrolled pod says to one that is not, is plain";
  EXPECT_TRUE(works("mesh", "client", "host.mesh"));
  for (const char* pod : {"apart", "host"}) {
    EXPECT_FALSE(is_captured("mesh", pod)) << pod;
    EXPECT_EQ(events("mesh", pod).find("MeshCapture"), std::string::npos) << pod;
  }
  lab().kubectl({"delete", "pod", "apart", "host", "-n", "mesh"});
}

TEST_F(EnrolmentTest,
       the_init_containers_and_sidecars_of_a_job_are_captured_from_their_first_packet_and_it_completes) {
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
  for (const char* node : {"node1", "node2"}) {
    const std::string name = "first-" + std::string(node);
    apply("apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name + ", namespace: mesh}\nspec:\n" + R"(
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      nodeName: )" +
          node + R"(
      initContainers:
      - name: beside
        image: "weft.local/tools:dev"
        restartPolicy: Always
        command: [sh, -c, "curl -sf -m 10 http://far.mesh:8888/beside && touch /tmp/done; sleep infinity"]
        startupProbe: {exec: {command: [ls, /tmp/done]}, periodSeconds: 1, failureThreshold: 20}
      - {name: first, image: "weft.local/tools:dev", command: [curl, -sf, -m, "10", "http://far.mesh:8888/first"]}
      containers:
      - {name: main, image: "weft.local/tools:dev", command: [curl, -sf, -m, "10", "http://near.mesh:8888/main"]}
)");
    EXPECT_TRUE(
        lab()
            .kubectl({"wait", "--for=condition=Complete", "--timeout=40s", "-n", "mesh", "job/" + name})
            .ok())
        << lab().kubectl({"describe", "pods", "-n", "mesh", "-l", "job-name=" + name}).out;
    lab().kubectl({"delete", "job", name, "-n", "mesh"});
  }
  remove_policy("peerauthentication", "default");
}

TEST_F(EnrolmentTest, a_forged_annotation_is_replaced_on_an_enrolled_pod_and_taken_from_another) {
  const std::string proven = annotation("mesh", "near", "weft.mesh/captured");
  ASSERT_TRUE(
      lab()
          .kubectl({"annotate", "--overwrite", "pod", "near", "-n", "mesh", "weft.mesh/captured=forged"})
          .ok());
  EXPECT_TRUE(eventually([&] { return annotation("mesh", "near", "weft.mesh/captured") == proven; }));
  // The first annotation alone could be another mesh's, whose pods these are; both are ours.
  ASSERT_TRUE(lab()
                  .kubectl({"annotate", "pod", "outsider", "-n", "plain",
                            "ambient.istio.io/redirection=enabled", "weft.mesh/captured=forged"})
                  .ok());
  EXPECT_TRUE(eventually([] { return !is_captured("plain", "outsider"); }));
}

TEST_F(EnrolmentTest, a_list_of_plugins_that_another_rewrites_is_repaired_and_the_next_pod_is_captured) {
  const auto chained = [] { return lab().in("node1", {"grep", "-q", "weft-cni", kConf}).ok(); };
  ASSERT_TRUE(chained());
  ASSERT_TRUE(lab().in("node1", {"bash", "-c", "cp /mnt/cni.conflist " + std::string(kConf)}).ok());
  EXPECT_TRUE(eventually(chained, seconds(10)));
  apply(pod_manifest("mesh", "late", "node1"));
  EXPECT_TRUE(ready("mesh", "late"));
  EXPECT_TRUE(becomes_captured("mesh", "late"));
  EXPECT_TRUE(works("mesh", "late", "far.mesh"));
  lab().kubectl({"delete", "pod", "late", "-n", "mesh"});
}

TEST_F(EnrolmentTest, a_pod_with_an_istio_sidecar_is_left_alone) {
  apply(R"(apiVersion: v1
kind: Pod
metadata: {name: carries, namespace: mesh, labels: {app: carries}, annotations: {sidecar.istio.io/status: "{}"}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 1
  containers: [{name: tools, image: "weft.local/tools:dev", command: [probe, serve, "7000"]}]
)");
  ASSERT_TRUE(ready("mesh", "carries"));
  EXPECT_TRUE(works("mesh", "carries", "far.mesh"));
  EXPECT_FALSE(is_captured("mesh", "carries"));
  lab().kubectl({"delete", "pod", "carries", "-n", "mesh"});
}

TEST_F(EnrolmentTest,
       a_namespace_with_the_strictest_pod_security_and_a_tight_quota_needs_nothing_more_than_before) {
  apply(namespace_manifest(
      "tight", "istio.io/dataplane-mode: ambient, pod-security.kubernetes.io/enforce: restricted"));
  apply(R"(apiVersion: v1
kind: ResourceQuota
metadata: {name: tight, namespace: tight}
spec: {hard: {pods: "1", requests.cpu: 10m, requests.memory: 16Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: tight, labels: {app: one}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: tools
    image: weft.local/tools:dev
    command: [probe, serve, "7000"]
    resources: {requests: {cpu: 10m, memory: 16Mi}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
)");
  ASSERT_TRUE(ready("tight", "one"));
  EXPECT_TRUE(becomes_captured("tight", "one"));
  EXPECT_TRUE(works("tight", "one", "near.mesh"));
  lab().kubectl({"delete", "namespace", "tight", "--wait=false"});
}

// The policy on connections of before comes from the namespace, here while its pods run; a drain goes on although the
// agents die in the middle of it.
TEST_F(EnrolmentTest, connections_of_before_end_by_the_policy_of_their_namespace_and_none_of_the_mesh_does) {
  apply(namespace_manifest("ends", "") + pod_manifest("ends", "caller", "node1") +
        pod_manifest("ends", "beyond", "node2"));
  ASSERT_TRUE(lab().has_ready_pods("ends", "app", 2));
  ASSERT_TRUE(eventually([] { return works("ends", "caller", "beyond"); }));
  const auto held = [](int duration) {
    return std::async(std::launch::async, [=] {
      const Answer answer = lab().exec("ends", "caller", {"probe", "connect", "beyond:7000", "--mode", "idle", "--count",
                                                          "20", "--spread", "1", "--seconds", std::to_string(duration)},
                                       seconds(duration + 30));
      return nlohmann::json::parse(answer.out, nullptr, false);
    });
  };
  const auto open = [] {
    const std::string count = "ss -Htn state established dport = :7000 | wc -l";
    return std::atoi(lab().exec("ends", "caller", {"sh", "-c", count}).out.c_str());
  };
  const auto says = [](const std::string& what) {
    // Either end may be the first to end one.
    return notes("ends", "caller", "PreMeshConnectionsEnded").find(what) != std::string::npos ||
           notes("ends", "beyond", "PreMeshConnectionsEnded").find(what) != std::string::npos;
  };
  const auto ask_for = [](const std::string& policy) {
    const std::string annotation = "weft.mesh/pre-mesh-connections=" + policy;
    ASSERT_TRUE(lab().kubectl({"annotate", "--overwrite", "namespace", "ends", annotation}).ok());
  };
  for (const std::string policy : {"cut", "drain=8s"}) {
    ASSERT_NO_FATAL_FAILURE(ask_for(policy));
    auto before = held(25);
    ASSERT_TRUE(eventually([&] { return open() == 20; })) << open();
    ASSERT_TRUE(lab().kubectl({"label", "namespace", "ends", "istio-injection=enabled"}).ok());
    ASSERT_TRUE(becomes_captured("ends", "caller", seconds(8)) && becomes_captured("ends", "beyond", seconds(8)));
    if (policy != "cut") {
      ASSERT_NO_FATAL_FAILURE(kill_agents());
    }
    auto of_mesh = held(policy == "cut" ? 4 : 12);
    EXPECT_EQ(before.get().value("ended", 0), 20) << policy;
    EXPECT_TRUE(eventually([] { return ended("node1", "ends/caller") + ended("node2", "ends/beyond") >= 20; }))
        << policy;
    EXPECT_TRUE(eventually([&] { return says("were ended by policy (" + policy + ")"); })) << policy;
    EXPECT_EQ(of_mesh.get().value("timeout", 0), 20) << policy;
    ASSERT_TRUE(lab().kubectl({"label", "namespace", "ends", "istio-injection-"}).ok());
    ASSERT_TRUE(eventually([] { return !is_captured("ends", "caller") && !is_captured("ends", "beyond"); }, seconds(8)));
  }
  ASSERT_NO_FATAL_FAILURE(ask_for("kill"));
  ASSERT_TRUE(lab().kubectl({"label", "namespace", "ends", "istio-injection=enabled"}).ok());
  EXPECT_TRUE(eventually([] {
    return notes("ends", "caller", "PreMeshPolicyRefused").find("found \"kill\"") != std::string::npos;
  }));
  lab().kubectl({"delete", "namespace", "ends", "--wait=false"});
}

// 1,000 connections of before and 500 of the mesh, half of each silent, half of them speaking twice a second.
TEST_F(EnrolmentTest, connections_of_before_outlive_enrolment_and_its_end) {
  apply(namespace_manifest("stay", "") + pod_manifest("stay", "caller", "node1") +
        pod_manifest("stay", "beyond", "node2"));
  ASSERT_TRUE(lab().has_ready_pods("stay", "app", 2));
  ASSERT_TRUE(eventually([] { return works("stay", "caller", "beyond"); }));
  const auto held = [](const std::string& mode, int count, int duration) {
    return std::async(std::launch::async, [=] {
      const Answer answer = lab().exec(
          "stay", "caller",
          {"probe", "connect", "beyond:7000", "--mode", mode, "--count", std::to_string(count), "--spread", "2",
           "--every", "500", "--seconds", std::to_string(duration)},
          seconds(duration + 30));
      return nlohmann::json::parse(answer.out, nullptr, false);
    });
  };
  // Those of caller and beyond that are open, as the caller's kernel counts them.
  const auto open = [] {
    const std::string count = "ss -Htn state established dport = :7000 | wc -l";
    return std::atoi(lab().exec("stay", "caller", {"sh", "-c", count}).out.c_str());
  };
  auto idle_before = held("idle", 500, 20), busy_before = held("steady", 500, 20);
  ASSERT_TRUE(eventually([&] { return open() == 1000; })) << open();
  ASSERT_TRUE(lab().kubectl({"label", "namespace", "stay", "istio-injection=enabled"}).ok());
  EXPECT_TRUE(becomes_captured("stay", "caller", seconds(8)) && becomes_captured("stay", "beyond", seconds(8)));
  EXPECT_EQ(open(), 1000);
  const auto of_before = [](const std::string& node, const std::string& pod) {
    const nlohmann::json report = agent_report(node);
    for (const auto& one : report.value("pods", nlohmann::json::array()))
      if (one["name"] == "stay/" + pod) return one.value("preMeshConnections", 0);
    return -1;
  };
  // One of the kubelet's probes may be among them for a moment.
  EXPECT_TRUE(eventually([&] { return of_before("node1", "caller") == 1000; }, seconds(8)));
  EXPECT_TRUE(eventually([&] { return of_before("node2", "beyond") == 1000; }, seconds(8)));
  EXPECT_TRUE(eventually([] { return events("stay", "caller").find("PreMeshConnections\n") != std::string::npos; }));
  auto idle_of_mesh = held("idle", 250, 12), busy_of_mesh = held("steady", 250, 12);
  ASSERT_TRUE(eventually([&] { return open() == 1500; })) << open();
  EXPECT_EQ(of_before("node1", "caller"), 1000) << "and none of the mesh";
  ASSERT_TRUE(lab().kubectl({"label", "namespace", "stay", "istio-injection-"}).ok());
  EXPECT_TRUE(eventually([] { return !is_captured("stay", "caller") && !is_captured("stay", "beyond"); }, seconds(8)));
  // "timeout": nobody has ended it before its own time was over.
  EXPECT_EQ(idle_of_mesh.get().value("timeout", 0), 250);
  EXPECT_EQ(busy_of_mesh.get().value("timeout", 0), 250);
  EXPECT_EQ(idle_before.get().value("timeout", 0), 500);
  const nlohmann::json busy = busy_before.get();
  EXPECT_EQ(busy.value("timeout", 0), 500) << busy;
  lab().kubectl({"delete", "namespace", "stay", "--wait=false"});
}

TEST_F(EnrolmentTest, the_label_goes_and_comes_under_load_and_no_request_fails) {
  apply(namespace_manifest("turn", "weft.mesh/enabled: 'true'") + pod_manifest("turn", "caller", "node1") +
        pod_manifest("turn", "beside", "node1") + pod_manifest("turn", "beyond", "node2"));
  ASSERT_TRUE(lab().has_ready_pods("turn", "app", 3));
  for (const char* pod : {"caller", "beside", "beyond"}) ASSERT_TRUE(becomes_captured("turn", pod));
  auto beside = load_from("turn", "caller", "http://beside:8888/", 16, 30);
  auto beyond = load_from("turn", "caller", "http://beyond:8888/", 16, 30);
  for (int round = 0; round < 2; ++round) {
    std::this_thread::sleep_for(seconds(2));
    ASSERT_TRUE(lab().kubectl({"label", "namespace", "turn", "weft.mesh/enabled-"}).ok());
    EXPECT_TRUE(eventually([] { return !is_captured("turn", "caller") && !is_captured("turn", "beyond"); }));
    ASSERT_TRUE(lab().kubectl({"label", "namespace", "turn", "weft.mesh/enabled=true"}).ok());
    EXPECT_TRUE(becomes_captured("turn", "caller") && becomes_captured("turn", "beyond"));
  }
  EXPECT_EQ(beside.get(), (Statuses{{"200", 480}}));
  EXPECT_EQ(beyond.get(), (Statuses{{"200", 480}}));
  lab().kubectl({"delete", "namespace", "turn", "--wait=false"});
}

TEST_F(EnrolmentTest, a_rolling_restart_of_httpgo_under_load_shows_no_503) {
  ASSERT_NO_FATAL_FAILURE(ensure_seed());
  auto load = MeshTest::load(15, 20);
  std::this_thread::sleep_for(seconds(2));
  ASSERT_TRUE(lab().kubectl({"rollout", "restart", "deployment/httpgo-v1", "-n", "dev"}).ok());
  EXPECT_TRUE(
      lab().kubectl({"rollout", "status", "deployment/httpgo-v1", "-n", "dev", "--timeout=30s"}).ok());
  EXPECT_EQ(load.get(), (Statuses{{"200", 300}}));
}

TEST_F(EnrolmentTest, scaling_from_one_to_six_and_back_under_load_is_not_felt) {
  ASSERT_NO_FATAL_FAILURE(ensure_seed());
  auto load = MeshTest::load(20, 20);
  for (const char* replicas : {"6", "1"}) {
    ASSERT_TRUE(lab().kubectl({"scale", "deployment/httpgo-v1", "-n", "dev", "--replicas", replicas}).ok());
    EXPECT_TRUE(lab().has_ready_pods("dev", "version=v1", std::stoul(replicas), seconds(30)));
  }
  EXPECT_EQ(load.get(), (Statuses{{"200", 400}}));
}

}  // namespace
}  // namespace weft::test
