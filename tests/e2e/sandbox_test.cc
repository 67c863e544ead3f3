// The sandbox itself, without the mesh: what it promises about pods, services, names, refusals and its own
// end.
//
//   outside --- fabric --- node1: pods        weft-e2e-a: 10.244.1.0/24 ...
//                     \--- node2: pods        weft-e2e-b: other ranges, beside it
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "tests/support/cluster.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

const std::string kHttpgo = std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo/httpgo.yaml";
const std::string kName = "e2e-plain";

constexpr const char* kClient = R"(
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: dev}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: curl, command: [sleep, infinity]}]
)";

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Every process below the sandbox's cgroup in `part` ("daemon", "node1/kubepods").
std::vector<pid_t> processes(const std::string& name, const std::string& part) {
  std::vector<pid_t> pids;
  std::ifstream mounts("/proc/mounts");
  std::string device, where, type, rest;
  while (mounts >> device >> where >> type && std::getline(mounts, rest))
    if (type == "cgroup2") break;
  std::error_code error;
  const std::filesystem::path root = where + "/weft-sandbox-" + name + "/" + part;
  if (!std::filesystem::exists(root, error)) return pids;
  auto read = [&](const std::filesystem::path& dir) {
    std::ifstream procs(dir / "cgroup.procs");
    for (pid_t pid = 0; procs >> pid;) pids.push_back(pid);
  };
  read(root);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root, error))
    if (entry.is_directory()) read(entry.path());
  return pids;
}

bool any_trace_of(const std::string& name) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string all((std::istreambuf_iterator<char>(mounts)), std::istreambuf_iterator<char>());
  const std::string state = "/run/weft/sandbox/" + name;
  return all.find(state + "/") != std::string::npos || std::filesystem::exists(state) ||
         std::filesystem::exists("/sys/fs/cgroup/unified/weft-sandbox-" + name) ||
         std::filesystem::exists("/sys/fs/cgroup/weft-sandbox-" + name);
}

class SandboxTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>(kName, std::vector<std::string>{"--nodes", "2", "--no-mesh"});
    ASSERT_EQ(cluster_->trouble(), "");
    ASSERT_TRUE(ctl({"create", "namespace", "dev"}).ok());
    ASSERT_TRUE(ctl({"apply", "-f", kHttpgo}).ok());
    ASSERT_TRUE(cluster_->apply(kClient).ok());
    ASSERT_TRUE(ctl({"wait", "--timeout", "30"}).ok()) << ctl({"status"}).out;
  }
  static void TearDownTestSuite() {
    cluster_.reset();
    EXPECT_FALSE(any_trace_of(kName));
  }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  static Answer ctl(std::vector<std::string> words) { return cluster_->ctl(std::move(words)); }
  static std::string field(const std::string& kind, const std::string& name, const std::string& path) {
    return trimmed(ctl({"get", kind, name, "-n", "dev", "-o", "jsonpath={" + path + "}"}).out);
  }
  static Reply from_client(const std::string& url) { return curl(*cluster_, "client", {"-m", "3"}, url); }
  static std::set<std::string> httpgo_pods() {
    std::set<std::string> names;
    for (const std::string version : {"v1", "v2"})
      for (const std::string& pod : cluster_->ready_pods("dev", "version", version)) names.insert(pod);
    return names;
  }

  static std::unique_ptr<Cluster> cluster_;
};
std::unique_ptr<Cluster> SandboxTest::cluster_;

TEST_F(SandboxTest, a_service_answers_by_its_name_and_by_its_address_from_both_pods) {
  EXPECT_EQ(from_client("http://httpgo:8888/name").status, 200);
  EXPECT_EQ(from_client("http://httpgo.dev.svc.cluster.local:8888/name").status, 200);
  const std::string address = field("svc", "httpgo", ".spec.clusterIP");
  for (int i = 0; i < 30; ++i) EXPECT_EQ(from_client("http://" + address + ":8888/address").status, 200);
  for (const std::string version : {"v1", "v2"})
    EXPECT_NE(ctl({"logs", "-n", "dev", "-l", "version=" + version}).out.find("/address"), std::string::npos)
        << version;
}

TEST_F(SandboxTest, a_pod_reaches_itself_through_its_service_and_nodes_reach_it_too) {
  const std::string pod = *httpgo_pods().begin();
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(curl(*cluster_, pod, {"-m", "3"}, "http://httpgo:8888/self").status, 200);
  const std::string address = field("svc", "httpgo", ".spec.clusterIP");
  EXPECT_EQ(curl(*cluster_, "node1", {}, "http://" + address + ":8888/node").status, 200);
}

TEST_F(SandboxTest, pods_of_one_owner_are_spread_over_the_nodes) {
  ASSERT_TRUE(ctl({"scale", "deployment", "httpgo-v1", "-n", "dev", "--replicas", "2"}).ok());
  ASSERT_TRUE(ctl({"wait", "--timeout", "20"}).ok());
  std::set<std::string> nodes;
  for (const std::string& pod : cluster_->ready_pods("dev", "version", "v1"))
    nodes.insert(cluster_->pod_field("dev", pod, ".spec.nodeName"));
  EXPECT_EQ(nodes.size(), 2u);
  ASSERT_TRUE(ctl({"scale", "deployment", "httpgo-v1", "-n", "dev", "--replicas", "1"}).ok());
  EXPECT_TRUE(eventually([] { return cluster_->ready_pods("dev", "version", "v1").size() == 1; }));
}

TEST_F(SandboxTest, an_unknown_image_is_said_on_the_pod) {
  ASSERT_TRUE(cluster_
                  ->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: dev}
spec: {containers: [{name: c, image: "nginx:1.25"}]}
)")
                  .ok());
  EXPECT_TRUE(eventually([] {
    return ctl({"get", "pods", "stranger", "-n", "dev"}).out.find("ImagePull") != std::string::npos;
  }));
  const std::string message = field("pod", "stranger", ".status.containerStatuses[0].state.waiting.message");
  EXPECT_NE(message.find("nginx:1.25"), std::string::npos) << message;
  EXPECT_TRUE(ctl({"delete", "pod", "stranger", "-n", "dev"}).ok());
}

TEST_F(SandboxTest, a_process_that_dies_is_started_again_and_the_pod_keeps_its_address) {
  const std::string pod = *httpgo_pods().begin();
  const std::string ip = cluster_->pod_field("dev", pod, ".status.podIP");
  const std::string uid = cluster_->pod_field("dev", pod, ".metadata.uid");
  const std::string node = cluster_->pod_field("dev", pod, ".spec.nodeName");
  for (const pid_t pid : processes(kName, node + "/kubepods/pod" + uid)) ::kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    return cluster_->pod_field("dev", pod, ".status.containerStatuses[0].restartCount") == "1" &&
           cluster_->pod_field("dev", pod, ".status.containerStatuses[0].ready") == "true";
  }));
  EXPECT_EQ(cluster_->pod_field("dev", pod, ".status.podIP"), ip);
}

TEST_F(SandboxTest, a_rolling_restart_never_leaves_the_service_without_an_answer) {
  const auto before = httpgo_pods();
  ASSERT_TRUE(ctl({"rollout", "restart", "deployment", "httpgo-v1", "-n", "dev"}).ok());
  ASSERT_TRUE(ctl({"rollout", "restart", "deployment", "httpgo-v2", "-n", "dev"}).ok());
  const Answer during = cluster_->exec("client", {"bash", "-c",
                                                  "for i in $(seq 60); do curl -s -m 3 -o /dev/null -w "
                                                  "'%{http_code}\\n' http://httpgo:8888/roll || echo failed; "
                                                  "sleep 0.05; done"});
  std::istringstream lines(during.out);
  int answered = 0;
  for (std::string line; std::getline(lines, line); ++answered) EXPECT_EQ(line, "200");
  EXPECT_EQ(answered, 60);
  ASSERT_TRUE(ctl({"wait", "--timeout", "20"}).ok());
  for (const std::string& pod : httpgo_pods()) EXPECT_FALSE(before.contains(pod)) << pod;
}

TEST_F(SandboxTest, node_ports_answer_on_every_node_and_local_ones_show_the_callers_address) {
  ASSERT_TRUE(cluster_
                  ->apply(R"(
apiVersion: v1
kind: Service
metadata: {name: open, namespace: dev}
spec: {type: NodePort, selector: {app: httpgo, version: v1}, ports: [{name: http, port: 80, targetPort: 8888}]}
---
apiVersion: v1
kind: Service
metadata: {name: local, namespace: dev}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: httpgo, version: v1}
  ports: [{name: http, port: 80, targetPort: 8888}]
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: dev}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
)")
                  .ok());
  ASSERT_TRUE(eventually([] { return field("svc", "local", ".spec.ports[0].nodePort") != ""; }));
  const std::string open = field("svc", "open", ".spec.ports[0].nodePort");
  const std::string local = field("svc", "local", ".spec.ports[0].nodePort");
  for (const std::string name : {"node1", "node2"}) {
    const std::string node = field("node", name, ".status.addresses[0].address");
    EXPECT_TRUE(eventually([&] {
      return curl(*cluster_, "outside", {"-m", "2"}, "http://" + node + ":" + open + "/").status == 200;
    })) << node;
  }
  const std::string host =
      cluster_->pod_field("dev", cluster_->ready_pods("dev", "version", "v1").at(0), ".status.hostIP");
  const Reply reply = curl(*cluster_, "outside", {"-m", "2"}, "http://" + host + ":" + local + "/");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("RemoteAddr= \"10.77."), std::string::npos) << reply.body;
  EXPECT_EQ(from_client("http://nobody/").curl_exit, 7);
}

TEST_F(SandboxTest, probes_decide_readiness) {
  ASSERT_TRUE(cluster_
                  ->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: probed, namespace: dev}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: cmssw/httpgo
    readinessProbe: {httpGet: {path: /healthz, port: 8888}, periodSeconds: 1}
  - name: echo
    image: weft/echo
    args: [--port, "7777"]
    readinessProbe: {tcpSocket: {port: 7777}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: never, namespace: dev}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: cmssw/httpgo
    readinessProbe: {exec: {command: ["false"]}, periodSeconds: 1}
)")
                  .ok());
  EXPECT_TRUE(
      eventually([] { return field("pod", "probed", ".status.containerStatuses[*].ready") == "true true"; }));
  EXPECT_TRUE(eventually([] { return field("pod", "never", ".status.phase") == "Running"; }));
  EXPECT_EQ(field("pod", "never", ".status.containerStatuses[0].ready"), "false");
  EXPECT_TRUE(ctl({"delete", "pod", "probed", "never", "-n", "dev"}).ok());
}

TEST_F(SandboxTest, a_bad_manifest_is_refused_with_its_place_and_nothing_of_it_is_applied) {
  const Answer answer = cluster_->apply(
      "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: fine, namespace: dev}\n---\n"
      "apiVersion: v1\nkind: Service\nmetadata: {name: bad, namespace: dev}\nspec:\n  portz: []\n");
  EXPECT_EQ(answer.exit_code, 1);
  EXPECT_NE(answer.err.find(":9:3: error"), std::string::npos) << answer.err;
  EXPECT_FALSE(ctl({"get", "serviceaccount", "fine", "-n", "dev"}).ok());
  const Answer homeless =
      cluster_->apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, namespace: nowhere}\n");
  EXPECT_EQ(homeless.exit_code, 1);
  EXPECT_NE(homeless.err.find("create namespace nowhere"), std::string::npos) << homeless.err;
}

TEST_F(SandboxTest, a_second_up_of_the_same_name_is_refused_and_another_name_lives_beside_it) {
  const Answer again = ctl({"up"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("already up"), std::string::npos) << again.err;
  Cluster other("e2e-plain-b", {"--nodes", "1", "--no-mesh"});
  ASSERT_EQ(other.trouble(), "");
  ASSERT_TRUE(other.ctl({"create", "namespace", "dev"}).ok());
  ASSERT_TRUE(other.apply_file(kHttpgo).ok());
  ASSERT_TRUE(other.apply(kClient).ok());
  ASSERT_TRUE(other.ctl({"wait", "--timeout", "30"}).ok());
  EXPECT_EQ(curl(other, "client", {"-m", "3"}, "http://httpgo:8888/there").status, 200);
  EXPECT_EQ(from_client("http://httpgo:8888/here").status, 200);
  const std::string mine = field("svc", "httpgo", ".spec.clusterIP");
  const std::string theirs =
      trimmed(other.ctl({"get", "svc", "httpgo", "-n", "dev", "-o", "jsonpath={.spec.clusterIP}"}).out);
  EXPECT_NE(mine, theirs);
  EXPECT_EQ(other.exec("client", {"curl", "-sS", "-m", "1", "http://" + mine + ":8888/"}).exit_code == 0,
            false);
}

TEST_F(SandboxTest, a_killed_daemon_is_said_and_its_successor_goes_on_with_the_same_pods) {
  const auto before = httpgo_pods();
  const std::string pod = *before.begin();
  const std::string id = cluster_->pod_field("dev", pod, ".status.containerStatuses[0].containerID");
  for (const pid_t pid : processes(kName, "daemon")) ::kill(pid, SIGKILL);
  ASSERT_TRUE(eventually([] { return ctl({"status"}).out.find("NOT RUNNING") != std::string::npos; }));
  EXPECT_NE(ctl({"get", "pods", "-n", "dev"}).err.find("up --resume"), std::string::npos);
  EXPECT_EQ(from_client("http://httpgo:8888/orphaned").status, 200);
  ASSERT_TRUE(ctl({"up", "--resume"}).ok());
  ASSERT_TRUE(ctl({"wait", "--timeout", "20"}).ok());
  EXPECT_EQ(httpgo_pods(), before);
  EXPECT_EQ(cluster_->pod_field("dev", pod, ".status.containerStatuses[0].containerID"), id);
  EXPECT_EQ(from_client("http://httpgo:8888/resumed").status, 200);
}

TEST(SandboxDualStack, a_service_answers_over_both_families_from_every_node) {
  Cluster cluster("e2e-plain-d", {"--nodes", "2", "--no-mesh", "--dual-stack"});
  ASSERT_EQ(cluster.trouble(), "");
  ASSERT_TRUE(cluster.ctl({"create", "namespace", "dev"}).ok());
  ASSERT_TRUE(cluster.apply_file(kHttpgo).ok());
  ASSERT_TRUE(cluster.apply(kClient).ok());
  ASSERT_TRUE(cluster
                  .apply(R"(
apiVersion: v1
kind: Service
metadata: {name: both, namespace: dev}
spec: {ipFamilyPolicy: RequireDualStack, selector: {app: httpgo}, ports: [{name: http, port: 80, targetPort: 8888}]}
)")
                  .ok());
  ASSERT_TRUE(cluster.ctl({"wait", "--timeout", "30"}).ok());
  ASSERT_TRUE(
      eventually([&] { return curl(cluster, "client", {"-6", "-m", "2"}, "http://both/").status == 200; }));
  // Both backends are met, the one on the caller's own node too.
  for (const std::string family : {"-4", "-6"})
    for (int i = 0; i < 12; ++i)
      EXPECT_EQ(curl(cluster, "client", {family, "-m", "2"}, "http://both/").status, 200) << family;
}

TEST(SandboxEnd, down_leaves_no_trace_also_after_everything_was_killed) {
  const std::string name = "e2e-plain-c";
  {
    Cluster cluster(name, {"--nodes", "2", "--no-mesh"});
    ASSERT_EQ(cluster.trouble(), "");
    ASSERT_TRUE(cluster.ctl({"create", "namespace", "dev"}).ok());
    ASSERT_TRUE(cluster.apply_file(kHttpgo).ok());
    ASSERT_TRUE(cluster.ctl({"wait", "--timeout", "30"}).ok());
    ASSERT_TRUE(any_trace_of(name));
    for (const pid_t pid : processes(name, "daemon")) ::kill(pid, SIGKILL);
    for (const pid_t pid : processes(name, "dns")) ::kill(pid, SIGKILL);
    const auto left = processes(name, "node1");
    ASSERT_FALSE(left.empty());
    ::kill(left[0], SIGKILL);
    std::filesystem::remove("/run/weft/sandbox/" + name + "/sandbox.json");
    EXPECT_TRUE(cluster.ctl({"down"}).ok());
    EXPECT_TRUE(processes(name, "").empty());
    EXPECT_FALSE(any_trace_of(name));
  }
}

}  // namespace
}  // namespace weft::test
