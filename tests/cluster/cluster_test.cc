// The test cluster itself, without weft: what is tried on it later is only worth as much as this.
//
//   outside --- switch (control plane) --- node1: pods 10.244.1.0/24
//                          \------------- node2: pods 10.244.2.0/24
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "tests/cluster/kube_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;
using Json = nlohmann::json;

constexpr const char* kName = "bare";

// One server and one client on each node.
constexpr const char* kWorld = R"(
apiVersion: v1
kind: Namespace
metadata: {name: dev}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: httpgo, namespace: dev}
spec:
  selector: {matchLabels: {app: httpgo}}
  template:
    metadata: {labels: {app: httpgo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: httpgo
        image: cmssw/httpgo
        readinessProbe: {httpGet: {path: /, port: 8888}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: client, namespace: dev}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: client, image: "weft.local/tools:dev"}]
---
apiVersion: v1
kind: Service
metadata: {name: httpgo, namespace: dev}
spec:
  type: NodePort
  selector: {app: httpgo}
  ports: [{name: http, port: 8888, nodePort: 30888}]
)";

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// What a cluster must not change: sysctls that kubelet wants to write, links and rules with names that it
// uses, mounts, and folders that its programs like to write to.
std::string machine() {
  std::string seen;
  for (const char* name :
       {"kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes", "kernel/random/boot_id", "net/ipv4/ip_forward", "kernel/hostname"})
    seen += std::string(name) + " " + read_file("/proc/sys/" + std::string(name));
  for (
      const char* look :
      {"ip -brief link | grep -E '^(node|outside|br0|cni0|eth)'", "nft list ruleset | grep -iE 'kube|cni'",
       "cut -d' ' -f5 /proc/self/mountinfo | grep -E '^/(etc|var|opt|mnt|proc|tmp|usr|sys/fs/cgroup)' | sort",
       "ls -la /etc/cni /etc/kubernetes /opt/cni /opt/weft /var/lib/kubelet /var/lib/containerd /var/lib/cni "
       "/var/log/pods /run/containerd /etc/hosts /etc/resolv.conf /etc/machine-id 2>&1"})
    seen += run({"sh", "-c", look}).out;
  return seen;
}

// Processes in cgroups of that name; not those that are dead, and only wait for the machine's pid 1 to
// notice.
std::string living(const std::string& group) {
  return run({"sh", "-c",
              "for p in $(grep -l '" + group + "' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3); do " +
                  "grep -q '^State:.Z' /proc/$p/status 2>/dev/null || echo $p; done"})
      .out;
}

class ClusterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    before_ = machine();
    lab_ = std::make_unique<KubeLab>(kName);
    ASSERT_EQ(lab_->trouble(), "");
    const Answer applied = lab_->apply(kWorld);
    ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
  }
  static void TearDownTestSuite() { lab_.reset(); }

  void SetUp() override {
    ASSERT_NE(lab_, nullptr);
    ASSERT_TRUE(lab_->has_ready_pods("dev", "app=httpgo", 2)) << pods();
    ASSERT_TRUE(lab_->has_ready_pods("dev", "app=client", 2)) << pods();
  }

  static std::string pods() { return lab_->kubectl({"get", "pods,events", "-A", "-o", "wide"}).out; }

  // Node -> its pod of that app.
  static std::map<std::string, Json> by_node(const std::string& app) {
    std::map<std::string, Json> found;
    for (auto& pod : lab_->ready_pods("dev", "app=" + app)) found[pod["spec"]["nodeName"]] = pod;
    return found;
  }
  // A field of an object that may not be there.
  static std::string field(const Json& object, const char* path) {
    return object.is_object() ? object.value(Json::json_pointer(path), "none") : "none";
  }
  static std::string address(const Json& pod) { return field(pod, "/status/podIP"); }

  // curl of the client pod on a node: the body, or what curl said.
  static std::string curl(const std::string& node, const std::string& url) {
    const std::string client = field(by_node("client")[node], "/metadata/name");
    const Answer answer = lab_->exec("dev", client, {"curl", "-sS", "-m", "5", url});
    return answer.ok() ? answer.out : answer.err;
  }
  static bool is_httpgo(const std::string& body) {
    return body.starts_with("GET ") && body.ends_with("Hello from Go\n");
  }

  // The boot that kubelet has reported for the node.
  static std::string boot_of(const std::string& node) {
    return field(lab_->get("", "node", node), "/status/nodeInfo/bootID");
  }

  static std::string before_;
  static std::unique_ptr<KubeLab> lab_;
};

std::string ClusterTest::before_;
std::unique_ptr<KubeLab> ClusterTest::lab_;

TEST_F(ClusterTest, both_nodes_are_ready_and_own_the_pods_of_their_number) {
  for (int number : {1, 2}) {
    const std::string name = "node" + std::to_string(number);
    const Json node = lab_->get("", "node", name);
    ASSERT_TRUE(node.is_object()) << name;
    EXPECT_EQ(node["spec"]["podCIDR"], "10.244." + std::to_string(number) + ".0/24");
    EXPECT_EQ(node["status"]["nodeInfo"]["kubeletVersion"], "v1.36.4");
    EXPECT_TRUE(address(by_node("client")[name]).starts_with("10.244." + std::to_string(number) + "."));
  }
  EXPECT_NE(boot_of("node1"), boot_of("node2"));
}

TEST_F(ClusterTest, a_service_answers_from_pods_of_both_nodes_and_both_pods_share_the_work) {
  for (const char* node : {"node1", "node2"})
    for (int i = 0; i < 10; ++i) {
      const std::string body = curl(node, "http://httpgo.dev:8888/" + std::string(node));
      EXPECT_TRUE(is_httpgo(body)) << node << ": " << body;
    }
  for (const auto& [node, pod] : by_node("httpgo")) {
    const Answer log = lab_->kubectl({"logs", "-n", "dev", pod["metadata"]["name"]});
    EXPECT_NE(log.out.find("/node"), std::string::npos) << "20 requests, and none to the pod on " << node;
  }
}

TEST_F(ClusterTest, a_node_port_answers_outside_on_every_node) {
  for (const char* node : {"10.77.0.11", "10.77.0.12"}) {
    const Answer answer =
        lab_->in("outside", {"curl", "-sS", "-m", "5", std::string("http://") + node + ":30888/"});
    EXPECT_TRUE(is_httpgo(answer.out)) << node << answer.out << answer.err;
  }
}

TEST_F(ClusterTest, pods_reach_each_other_across_nodes_with_their_own_addresses) {
  auto servers = by_node("httpgo"), clients = by_node("client");
  const std::string body = curl("node1", "http://" + address(servers["node2"]) + ":8888/");
  EXPECT_TRUE(is_httpgo(body)) << body;
  EXPECT_NE(body.find("RemoteAddr= \"" + address(clients["node1"]) + ":"), std::string::npos) << body;
}

TEST_F(ClusterTest, names_are_known_in_pods_short_and_whole_and_unknown_ones_are_refused_at_once) {
  for (const char* host :
       {"httpgo", "httpgo.dev", "httpgo.dev.svc.cluster.local", "kubernetes.default.svc"}) {
    const Answer found = lab_->exec(
        "dev", by_node("client")["node2"]["metadata"]["name"],
        {"curl", "-skS", "-m", "5", "-o", "/dev/null", "-w", "%{remote_ip}",
         host[0] == 'k' ? std::string("https://") + host : "http://" + std::string(host) + ":8888"});
    EXPECT_TRUE(found.out.starts_with("10.96.")) << host << ": " << found.out << found.err;
  }
  const std::string unknown = curl("node1", "http://nobody.nowhere.example/");
  EXPECT_NE(unknown.find("Could not resolve host"), std::string::npos) << unknown;
}

TEST_F(ClusterTest, a_second_up_says_that_the_cluster_is_up_and_changes_nothing) {
  const auto pod = by_node("httpgo")["node1"]["metadata"]["uid"];
  const Answer up = lab_->cluster({"up"});
  EXPECT_TRUE(up.ok()) << up.err;
  EXPECT_NE(up.out.find("is already up"), std::string::npos) << up.out;
  EXPECT_EQ(by_node("httpgo")["node1"]["metadata"]["uid"], pod);
}

TEST_F(ClusterTest, the_machine_is_as_it_was_while_the_cluster_runs) {
  EXPECT_EQ(machine(), before_);
}

TEST_F(ClusterTest, killed_daemons_come_back_and_pods_live_on) {
  const auto pod = by_node("httpgo")["node2"]["metadata"]["uid"];
  const std::vector<std::pair<std::string, std::string>> daemons = {
      {"node2", "containerd"},       {"node2", "kubelet"}, {"node2", "kube-proxy"},
      {"control", "kube-apiserver"}, {"control", "etcd"},  {"control", "kube-controller-manager"}};
  for (const auto& [place, daemon] : daemons)
    EXPECT_TRUE(lab_->cluster({"kill", place, daemon}).ok()) << daemon;
  EXPECT_TRUE(eventually(
      [] {
        const Answer status = lab_->cluster({"status"});
        return status.ok() && status.out.find("is down") == std::string::npos;
      },
      seconds(60)))
      << lab_->cluster({"status"}).out;
  EXPECT_TRUE(eventually([] { return is_httpgo(curl("node2", "http://httpgo.dev:8888/")); }, seconds(60)));
  EXPECT_EQ(by_node("httpgo")["node2"]["metadata"]["uid"], pod);
}

TEST_F(ClusterTest, a_stopped_daemon_stays_down_until_it_is_started) {
  ASSERT_TRUE(lab_->cluster({"stop", "control", "kube-apiserver"}).ok());
  EXPECT_FALSE(eventually(
      [] {
        return lab_->kubectl({"get", "--raw", "/readyz", "--request-timeout", "1s"}).ok();
      },
      seconds(4)));
  const Answer status = lab_->cluster({"status"});
  EXPECT_NE(status.out.find("(kube-apiserver is down)"), std::string::npos) << status.out;
  ASSERT_TRUE(lab_->cluster({"start", "control", "kube-apiserver"}).ok());
  EXPECT_TRUE(eventually([] { return lab_->kubectl({"get", "--raw", "/readyz"}).ok(); }, seconds(30)));
}

TEST_F(ClusterTest, a_power_cut_ends_all_of_a_node_and_after_its_boot_the_pods_run_again) {
  const std::string boot = boot_of("node2");
  const auto group = "/weft-cluster-" + std::string(kName) + "/node2";
  ASSERT_TRUE(lab_->cluster({"power-cut", "node2"}).ok());
  EXPECT_EQ(living(group), "");
  EXPECT_EQ(KubeLab::traces(kName).find("node2"), std::string::npos) << KubeLab::traces(kName);
  EXPECT_FALSE(lab_->in("outside", {"curl", "-sS", "-m", "1", "http://10.77.0.12:30888/"}).ok());
  const Answer status = lab_->cluster({"status"});
  EXPECT_NE(status.out.find("node2   no power"), std::string::npos) << status.out;

  const Answer on = lab_->cluster({"boot", "node2"});
  ASSERT_TRUE(on.ok()) << on.out << on.err;
  EXPECT_NE(boot_of("node2"), boot);
  EXPECT_TRUE(lab_->has_ready_pods("dev", "app=httpgo", 2)) << pods();
  EXPECT_TRUE(eventually(
      [] { return is_httpgo(curl("node1", "http://" + address(by_node("httpgo")["node2"]) + ":8888/")); },
      seconds(30)));
  const Answer answer = lab_->in("outside", {"curl", "-sS", "-m", "5", "http://10.77.0.12:30888/"});
  EXPECT_TRUE(is_httpgo(answer.out)) << answer.err;
}

TEST_F(ClusterTest, images_are_the_same_bytes_each_time_and_pods_are_not_root_in_that_of_weft) {
  const std::string index = "/run/weft-cluster/" + std::string(kName) + "/images/index.json";
  const std::string first = read_file(index);
  ASSERT_NE(first.find("weft.local/weft:dev"), std::string::npos) << first;
  const Answer again = lab_->cluster({"images"});
  ASSERT_TRUE(again.ok()) << again.err;
  EXPECT_EQ(read_file(index), first);
  const Answer who = lab_->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: restricted, namespace: dev, labels: {app: restricted}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true}
  containers: [{name: c, image: "weft.local/weft:dev", command: [/usr/bin/weft-agent, --help]}]
  restartPolicy: Never
)");
  ASSERT_TRUE(who.ok()) << who.err;
  EXPECT_TRUE(eventually(
      [] { return lab_->get("dev", "pod", "restricted")["status"]["phase"] == "Succeeded"; }, seconds(30)))
      << lab_->get("dev", "pod", "restricted")["status"];
  const Answer log = lab_->kubectl({"logs", "-n", "dev", "restricted"});
  EXPECT_NE(log.out.find("--node"), std::string::npos) << log.out << log.err;
}

// The last one: takes the cluster down.
TEST_F(ClusterTest, down_leaves_nothing_even_when_parts_were_killed_before) {
  EXPECT_TRUE(run({"sh", "-c",
                   "kill -KILL $(cat /run/weft-cluster/bare/control/launcher.pid "
                   "/run/weft-cluster/bare/nodes/node1/launcher.pid)"})
                  .ok());
  const Answer down = lab_->cluster({"down"});
  EXPECT_TRUE(down.ok()) << down.out << down.err;
  EXPECT_EQ(KubeLab::traces(kName), "");
  EXPECT_EQ(living("/weft-cluster-" + std::string(kName)), "");
  EXPECT_EQ(machine(), before_);
  EXPECT_NE(lab_->cluster({"down"}).out.find("is not there"), std::string::npos);
  lab_.reset();
}

}  // namespace
}  // namespace weft::test
