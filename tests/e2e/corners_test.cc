// What applications do besides connecting and echoing, and what a user sees of the mesh from outside the data
// path.
//
//   node1: mesh/client, mesh/near    node2: mesh/far    plain/other on node2
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/cluster.h"
#include "tests/support/counters.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

std::string pod(const std::string& ns, const std::string& name, const std::string& node,
                const std::string& labels = "") {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns +
         ", labels: {app: " + name + labels + "}}\nspec:\n  nodeName: " + node + R"(
  containers:
  - {name: echo, image: weft/probe, args: [serve, "7000"]}
  - {name: datagrams, image: weft/echo, args: [--udp, --port, "7100"]}
---
apiVersion: v1
kind: Service
metadata: {name: )" +
         name + ", namespace: " + ns + R"(}
spec:
  selector: {app: )" +
         name + R"(}
  ports: [{name: tcp-echo, port: 17000, targetPort: 7000}, {name: udp-echo, port: 17100, targetPort: 7100, protocol: UDP}]
)";
}

class CornersTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>("e2e-corners");
    ASSERT_EQ(cluster_->trouble(), "");
    const Answer applied = cluster_->apply(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: "
        "\"true\"}}\n---\n"
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n" +
        pod("mesh", "client", "node1") + pod("mesh", "near", "node1") + pod("mesh", "far", "node2") +
        pod("plain", "other", "node2"));
    ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
    ASSERT_EQ(cluster_->wait_for_pods({"mesh/client", "mesh/near", "mesh/far", "plain/other"}), "");
    for (const char* name : {"mesh/client", "mesh/near", "mesh/far"})
      ASSERT_TRUE(eventually([&] { return cluster_->is_captured(name); }, seconds(20))) << name;
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  static json probe(std::vector<std::string> words, int limit = 60) {
    return test::probe(*cluster_, "client", "mesh", std::move(words), seconds(limit));
  }
  // One datagram to a service and its echo, by an ordinary program.
  static std::string datagram(const std::string& host, bool connected) {
    const std::string script =
        "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(3)\n"
        "a=(socket.gethostbyname('" +
        host + "'),17100)\n" +
        (connected ? "s.connect(a); s.send(b'hello'); print(s.recv(100).decode(), s.getpeername()==a)"
                   : "s.sendto(b'hello',a); d,f=s.recvfrom(100); print(d.decode(), f==a)");
    const Answer answer = cluster_->exec("client", {"python3", "-c", script}, "mesh");
    return answer.out + answer.err;
  }
  static Counters counters() { return node_counters(cluster_->name(), "node1"); }
  static std::string metrics(const std::string& node) { return cluster_->metrics(node); }

  static std::unique_ptr<Cluster> cluster_;
};
std::unique_ptr<Cluster> CornersTest::cluster_;

TEST_F(CornersTest, datagrams_to_a_service_come_back_from_the_service) {
  for (const char* host : {"near.mesh", "far.mesh", "other.plain"}) {
    EXPECT_EQ(datagram(host, true), "hello True\n") << host;
    EXPECT_EQ(datagram(host, false), "hello True\n") << host;
  }
}

TEST_F(CornersTest, a_connection_to_an_address_where_nobody_is_ends_in_bounded_time) {
  // An address of node2's pod range that no pod has: the far node says that the host is unreachable, or
  // nothing at all.
  const json seen = probe({"10.200.0.1:80", "--bytes", "1", "--seconds", "14"}, 20);
  EXPECT_NE(seen["end"], "eof") << seen;
}

TEST_F(CornersTest, clients_that_reset_before_they_are_accepted_leave_nothing_behind) {
  for (int i = 0; i < 5; ++i)
    (void)probe({"far.mesh:17000", "--mode", "abort", "--count", "50", "--seconds", "5"});
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "1000", "--count", "50"})["good"], 50);
  EXPECT_TRUE(eventually([] {
    return metrics("node1").find("weft_proxy_connections_active 0\n") != std::string::npos ||
           metrics("node1").find("weft_proxy_connections_active") == std::string::npos;
  }));
}

TEST_F(CornersTest, a_pod_that_opts_out_is_left_alone_and_comes_back) {
  ASSERT_TRUE(cluster_->ctl({"label", "pod", "client", "-n", "mesh", "istio.io/dataplane-mode=none"}).ok());
  EXPECT_TRUE(eventually([] { return !cluster_->is_captured("mesh/client"); }, seconds(10)));
  const Counters before = counters();
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "10"})["end"], "eof");
  EXPECT_FALSE(growth(before, counters()).contains("connect_proxy_remote"));
  ASSERT_TRUE(cluster_->ctl({"label", "pod", "client", "-n", "mesh", "istio.io/dataplane-mode-"}).ok());
  EXPECT_TRUE(eventually([] { return cluster_->is_captured("mesh/client"); }, seconds(10)));
}

TEST_F(CornersTest, a_relayed_connection_is_counted_with_its_workloads) {
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "12345"})["end"], "eof");
  EXPECT_TRUE(eventually([] {
    const std::string text = metrics("node1");
    return text.find("istio_tcp_connections_closed_total") != std::string::npos &&
           text.find("destination_service=\"far.mesh.svc.cluster.local\"") != std::string::npos &&
           text.find("source_workload=\"client\"") != std::string::npos;
  })) << metrics("node1");
}

TEST_F(CornersTest, the_access_log_is_off_until_it_is_switched_on_and_then_names_the_connection) {
  auto lines = [] {
    const std::string log = cluster_->ctl({"logs", "weft-proxy-node1", "-n", "weft-system"}).out;
    size_t count = 0;
    for (size_t at = log.find("outbound|17000||far.mesh"); at != std::string::npos;
         at = log.find("outbound|17000||far.mesh", at + 1))
      ++count;
    return count;
  };
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "10"})["end"], "eof");
  EXPECT_EQ(lines(), 0u);
  const std::string admin = "http://127.0.0.1:15000/logging?access=";
  EXPECT_TRUE(cluster_->exec("node1", {"curl", "-sf", "-X", "POST", admin + "on"}).ok());
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "10"})["end"], "eof");
  EXPECT_TRUE(eventually([&] { return lines() > 0; }, seconds(5)));
  EXPECT_TRUE(cluster_->exec("node1", {"curl", "-sf", "-X", "POST", admin + "off"}).ok());
}

TEST_F(CornersTest, a_broken_manifest_is_refused_by_line_and_the_last_good_state_stays) {
  const Answer refused = cluster_->apply(
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: far, namespace: "
      "mesh}\nspec:\n"
      "  hosts: [far]\n  htpp: []\n");
  EXPECT_FALSE(refused.ok());
  EXPECT_NE((refused.out + refused.err).find(":6:"), std::string::npos) << refused.out << refused.err;
  EXPECT_NE((refused.out + refused.err).find("http"), std::string::npos)
      << "suggests the field that was meant";
  EXPECT_EQ(probe({"far.mesh:17000", "--bytes", "10"})["end"], "eof");
}

TEST_F(CornersTest, a_field_that_is_not_built_yet_is_named_in_the_status_of_its_object) {
  ASSERT_TRUE(cluster_
                  ->apply(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: unbuilt, namespace: mesh}
spec:
  hosts: [far]
  http: [{timeout: 5s, route: [{destination: {host: far, port: {number: 17000}}}]}]
)")
                  .ok());
  EXPECT_TRUE(eventually([] {
    const std::string yaml =
        cluster_->ctl({"get", "virtualservice", "unbuilt", "-n", "mesh", "-o", "yaml"}).out;
    return yaml.find("UnsupportedField") != std::string::npos && yaml.find("timeout") != std::string::npos;
  })) << cluster_->ctl({"get", "virtualservice", "unbuilt", "-n", "mesh", "-o", "yaml"}).out;
  ASSERT_TRUE(cluster_->ctl({"delete", "virtualservice", "unbuilt", "-n", "mesh"}).ok());
}

TEST_F(CornersTest, the_proxy_has_no_capability_and_no_new_privileges_and_a_filter) {
  int proxies = 0;
  std::istringstream pids(run({"pgrep", "-x", "weft-proxy"}).out);
  for (std::string pid; std::getline(pids, pid);) {
    const std::string process = "/proc/" + pid;
    const std::string cgroup = run({"cat", process + "/cgroup"}).out;
    if (cgroup.find("weft-sandbox-" + cluster_->name() + "/") == std::string::npos) continue;
    const std::string status = run({"cat", process + "/status"}).out;
    EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos);
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
    EXPECT_EQ(status.find("Uid:\t0"), std::string::npos);
    // The root is read-only, and of the machine's /run it sees the agent's socket and nothing else: no token, no key.
    const std::string root = run({"awk", "$5 == \"/\" {print $6}", process + "/mountinfo"}).out;
    EXPECT_TRUE(root.starts_with("ro")) << pid << ": " << root;
    const std::string seen = run({"bash", "-c", "cd " + process + "/root && cd run && find . \\( -type f -o -type s \\) ! -name resolv.conf"}).out;
    EXPECT_EQ(seen, "./weft/proxy.sock\n") << pid;
    ++proxies;
  }
  EXPECT_GE(proxies, 3) << "two nodes and the gateway";
}

TEST_F(CornersTest, the_agents_have_the_rights_that_the_readme_says_and_no_more) {
  int nodes = 0, others = 0;
  std::istringstream pids(run({"pgrep", "-x", "weft-agent"}).out);
  for (std::string pid; std::getline(pids, pid);) {
    const std::string cgroup = run({"cat", "/proc/" + pid + "/cgroup"}).out;
    if (cgroup.find("weft-sandbox-" + cluster_->name() + "/") == std::string::npos) continue;
    const std::string words = run({"cat", "/proc/" + pid + "/cmdline"}).out,
                      status = run({"cat", "/proc/" + pid + "/status"}).out;
    const bool is_node = words.find(std::string("--role\0node", 11)) != std::string::npos;
    // A node's: BPF, SYS_ADMIN, NET_ADMIN. Gateways and control: none.
    const std::string rights = is_node ? "0000008000201000" : "0000000000000000";
    EXPECT_NE(status.find("CapEff:\t" + rights), std::string::npos) << status;
    EXPECT_NE(status.find("CapBnd:\t" + rights), std::string::npos) << status;
    ++(is_node ? nodes : others);
  }
  EXPECT_GE(nodes, 2);
  EXPECT_GE(others, 1);
}

}  // namespace
}  // namespace weft::test
