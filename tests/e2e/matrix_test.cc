// The connection matrix: who calls whom, by which address, and which path the connection takes.
//
//   node1: mesh/client  mesh/near (server)  plain/client  plain/near (server)
//   node2: mesh/far (server)  plain/far (server)
//
// Servers: 7000 echo, 7001 server-first banner, 7002 resets, 7003 reads late; the last two digits name the mode.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/support/cluster.h"
#include "tests/support/counters.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

std::string client_pod(const std::string& ns) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: " + ns +
         ", labels: {app: client}}\nspec:\n  nodeName: node1\n  containers: "
         "[{name: idle, image: weft/probe, args: [serve, \"7000\"]}]\n";
}

std::string server_pod(const std::string& ns, const std::string& name, const std::string& node) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", labels: {app: " + name +
         "}}\nspec:\n  nodeName: " + node + R"(
  containers:
  - {name: echo, image: weft/probe, args: [serve, "7000"], ports: [{containerPort: 7000}]}
  - {name: banner, image: weft/probe, args: [serve, "7001", --mode, banner]}
  - {name: reset, image: weft/probe, args: [serve, "7002", --mode, reset]}
  - {name: late, image: weft/probe, args: [serve, "7003", --mode, late, --seconds, "2"]}
  - {name: web, image: cmssw/httpgo}
---
apiVersion: v1
kind: Service
metadata: {name: )" + name + ", namespace: " + ns + R"(}
spec:
  selector: {app: )" + name + R"(}
  ports:
  - {name: tcp-echo, port: 17000, targetPort: 7000}
  - {name: tcp-banner, port: 17001, targetPort: 7001}
  - {name: tcp-reset, port: 17002, targetPort: 7002}
  - {name: tcp-late, port: 17003, targetPort: 7003}
  - {name: tcp-dead, port: 17009, targetPort: 7009}
  - {name: http, port: 8888}
)";
}

// A route for in-mesh callers: this, and only this, makes port 8888 of the server an L7 port.
std::string mesh_route(const std::string& ns, const std::string& name) {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\nspec:\n  hosts: [" + name + "]\n  http:\n  - match: [{uri: {prefix: /l7}}]\n    route: [{destination: {host: " +
         name + ", port: {number: 8888}}}]\n";
}

struct Case {
  const char* source_ns;
  const char* destination_ns;
  const char* server;     // near, far
  bool by_service;        // else by pod address
  const char* path;       // the counter of node1 that must grow; none for callers outside the mesh
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.source_ns << " -> " << c.destination_ns << "/" << c.server << (c.by_service ? " by service" : " by pod");
}

class MatrixTest : public testing::TestWithParam<Case> {
 public:
  static void take_down() {
    // What the mesh's parts said, should a test above have failed.
    if (cluster_ != nullptr && testing::UnitTest::GetInstance()->failed_test_count() > 0)
      for (const char* part : {"weft-proxy-node1", "weft-agent-node1", "weft-proxy-node2"})
        std::printf("--- %s\n%s", part, cluster_->ctl({"logs", part, "-n", "weft-system", "--tail", "60"}).out.c_str());
    cluster_.reset();
  }

 protected:
  static void SetUpTestSuite() {
    if (cluster_ != nullptr) return;
    cluster_ = std::make_unique<Cluster>("e2e-matrix");
    ASSERT_EQ(cluster_->trouble(), "");
    std::string manifest =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {istio.io/dataplane-mode: ambient}}\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n";
    for (const char* ns : {"mesh", "plain"})
      manifest += client_pod(ns) + server_pod(ns, "near", "node1") + server_pod(ns, "far", "node2");
    manifest += mesh_route("mesh", "near") + mesh_route("mesh", "far");
    const Answer applied = cluster_->apply(manifest);
    ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
    ASSERT_EQ(cluster_->wait_for_pods({"mesh/client", "mesh/near", "mesh/far", "plain/client", "plain/near", "plain/far"}), "");
    for (const char* pod : {"mesh/client", "mesh/near", "mesh/far"})
      ASSERT_TRUE(eventually([&] { return cluster_->is_captured(pod); }, seconds(20))) << pod;
    for (const char* ns : {"mesh", "plain"})
      for (const char* pod : {"client", "near", "far"})
        address_[std::string(ns) + "/" + pod] = cluster_->pod_field(ns, pod, ".status.podIP");
  }
  static std::string address(const std::string& key) { return address_[key]; }
  static std::string target(const Case& c, int mode) {
    if (c.by_service)
      return std::string(c.server) + "." + c.destination_ns + ".svc.cluster.local:" + std::to_string(17000 + mode);
    return address(std::string(c.destination_ns) + "/" + c.server) + ":" + std::to_string(7000 + mode);
  }
  // probe's line as JSON.
  static json probe(const std::string& ns, std::vector<std::string> words, int limit = 60) {
    return test::probe(*cluster_, "client", ns, std::move(words), seconds(limit));
  }
  static Counters counters(const std::string& node) {
    return node_counters(cluster_->name(), node);
  }

  static std::unique_ptr<Cluster> cluster_;
  static std::map<std::string, std::string> address_;
};
std::unique_ptr<Cluster> MatrixTest::cluster_;
std::map<std::string, std::string> MatrixTest::address_;

class EveryPath : public MatrixTest {};

TEST_P(EveryPath, is_the_one_that_was_declared_and_shows_true_addresses_on_both_sides) {
  const Case& c = GetParam();
  const Counters before = counters("node1");
  const json seen = probe(c.source_ns, {target(c, 0), "--bytes", "1000"});
  ASSERT_EQ(seen["end"], "eof") << seen;
  EXPECT_EQ(seen["intact"], true) << seen;
  const Counters grown = growth(before, counters("node1"));
  if (c.path != nullptr) {
    EXPECT_TRUE(grown.contains(c.path)) << c << ": " << to_text(grown);
  }
  // The application sees the address it called, the server the address of the pod that called.
  const std::string peer = seen["peer"];
  EXPECT_TRUE(c.by_service ? peer.find(":17000") != std::string::npos : peer == target(c, 0)) << peer;
  const std::string log = cluster_->ctl({"logs", c.server, "-c", "echo", "-n", c.destination_ns}).out;
  const std::string local = address(std::string(c.source_ns) + "/client");
  const bool masquerade = std::string(c.source_ns) == "plain" && c.by_service;  // kube-proxy may rewrite the source
  EXPECT_TRUE(masquerade || log.find(local + "]:") != std::string::npos) << local << " in " << log.substr(0, 2000);
}

TEST_P(EveryPath, carries_bytes_intact_from_none_to_50_mebibytes) {
  for (const char* bytes : {"0", "1", "65536", "52428800"}) {
    const json seen = probe(GetParam().source_ns, {target(GetParam(), 0), "--bytes", bytes});
    EXPECT_EQ(seen["end"], "eof") << bytes << ": " << seen;
    EXPECT_EQ(seen["intact"], true) << bytes << ": " << seen;
    EXPECT_EQ(seen.value("received", size_t{0}), std::stoul(bytes)) << seen;
  }
}

TEST_P(EveryPath, serves_server_first_protocols_resets_and_slow_readers) {
  const Case& c = GetParam();
  const json banner = probe(c.source_ns, {target(c, 1), "--mode", "read"});
  EXPECT_EQ(banner["end"], "eof") << banner;
  EXPECT_EQ(banner.value("received", 0), 11) << banner;
  const json reset = probe(c.source_ns, {target(c, 2), "--bytes", "100", "--mode", "read"});
  EXPECT_EQ(reset["end"], "ECONNRESET") << reset;
  const json late = probe(c.source_ns, {target(c, 3), "--bytes", "8000000"});
  EXPECT_EQ(late["end"], "eof") << late;
  EXPECT_EQ(late["intact"], true) << late;
}

TEST_P(EveryPath, passes_on_a_reset_by_the_client) {
  const Case& c = GetParam();
  const json aborted = probe(c.source_ns, {target(c, 0), "--bytes", "100", "--mode", "abort"});
  EXPECT_EQ(aborted["sent"], 100) << aborted;
  EXPECT_TRUE(eventually([&] {
    const std::string log = cluster_->ctl({"logs", c.server, "-c", "echo", "-n", c.destination_ns}).out;
    const size_t last = log.rfind("{");
    return last != std::string::npos && log.find("ECONNRESET", last) != std::string::npos;
  }));
}

TEST_P(EveryPath, lets_the_application_feel_a_dead_port_at_once) {
  const Case& c = GetParam();
  const json dead = probe(c.source_ns, {target(c, 9), "--bytes", "1", "--seconds", "8"});
  // Refused, or accepted by the proxy and reset when the destination refused.
  EXPECT_TRUE(dead["end"] == "ECONNREFUSED" || dead["end"] == "ECONNRESET" || dead["end"] == "EPIPE") << dead;
}

INSTANTIATE_TEST_SUITE_P(Matrix, EveryPath, testing::Values(
    Case{"mesh", "mesh", "near", true, "connect_direct_service"},
    Case{"mesh", "mesh", "near", false, "connect_direct_workload"},
    Case{"mesh", "mesh", "far", true, "connect_proxy_remote"},
    Case{"mesh", "mesh", "far", false, "connect_proxy_remote"},
    Case{"mesh", "plain", "near", true, "connect_direct_service"},
    Case{"mesh", "plain", "near", false, "connect_unknown"},
    Case{"mesh", "plain", "far", true, "connect_direct_service"},
    Case{"mesh", "plain", "far", false, "connect_unknown"},
    Case{"plain", "mesh", "near", true, nullptr}, Case{"plain", "mesh", "near", false, nullptr},
    Case{"plain", "mesh", "far", true, nullptr}, Case{"plain", "mesh", "far", false, nullptr},
    Case{"plain", "plain", "far", true, nullptr}));

TEST_F(MatrixTest, a_pod_reaches_its_own_address_and_its_loopback_without_the_mesh) {
  const Counters before = counters("node1");
  EXPECT_EQ(probe("mesh", {address("mesh/client") + ":7000", "--bytes", "1000"})["end"], "eof");
  EXPECT_EQ(probe("mesh", {"127.0.0.1:7000", "--bytes", "1000"})["end"], "eof");
  EXPECT_EQ(probe("mesh", {"[::1]:7000", "--bytes", "1000"})["end"], "eof");
  EXPECT_EQ(probe("mesh", {"[::ffff:127.0.0.1]:7000", "--bytes", "1000"})["end"], "eof");
  const Counters grown = growth(before, counters("node1"));
  EXPECT_TRUE(grown.contains("connect_loopback") && grown.contains("connect_own_address")) << to_text(grown);
}

TEST_F(MatrixTest, a_v4_mapped_destination_takes_the_same_path) {
  const Counters before = counters("node1");
  const json seen = probe("mesh", {"[::ffff:" + address("mesh/far") + "]:7000", "--bytes", "1000"});
  EXPECT_EQ(seen["end"], "eof") << seen;
  EXPECT_EQ(seen["intact"], true);
  EXPECT_TRUE(growth(before, counters("node1")).contains("connect_proxy_remote"));
}

TEST_F(MatrixTest, a_route_for_the_mesh_makes_its_port_http_on_both_nodes_and_leaves_other_ports_alone) {
  const auto by_tls = [] {
    return cluster_->metric("node2", "istio_tcp_connections_opened_total",
                            {"reporter=\"destination\"", "connection_security_policy=\"mutual_tls\"",
                             "destination_workload=\"far\""});
  };
  const uint64_t secured = by_tls();
  for (const std::string server : {"near", "far"}) {
    const Counters before = counters("node1");
    const std::string url = "http://" + server + ".mesh:8888";
    EXPECT_EQ(curl(*cluster_, "client", {}, url + "/l7/x", "mesh").status, 200) << server;
    EXPECT_EQ(curl(*cluster_, "client", {}, url + "/elsewhere", "mesh").status, 404) << server;
    const Reply posted = curl(*cluster_, "client", {"-d", "payload"}, url + "/l7", "mesh");
    EXPECT_NE(posted.body.find("payload"), std::string::npos) << posted.body;
    EXPECT_TRUE(growth(before, counters("node1")).contains("connect_proxy_layer7"));
  }
  EXPECT_GT(by_tls(), secured) << "between nodes what was routed goes through a tunnel";
}

TEST_F(MatrixTest, two_thousand_connections_at_once_are_all_served) {
  const json near = probe("mesh", {"near.mesh:17000", "--bytes", "2000", "--count", "2000", "--seconds", "50"}, 80);
  EXPECT_EQ(near["good"], 2000) << near;
  const json far = probe("mesh", {"far.mesh:17000", "--bytes", "2000", "--count", "2000", "--seconds", "50"}, 80);
  EXPECT_EQ(far["good"], 2000) << far;
}

TEST_F(MatrixTest, a_process_that_forks_is_captured_like_its_parent) {
  const json seen = probe("mesh", {"far.mesh:17000", "--bytes", "100", "--fork"});
  EXPECT_EQ(seen["end"], "eof") << seen;
}

TEST_F(MatrixTest, a_service_without_endpoints_refuses_at_once) {
  ASSERT_TRUE(cluster_->apply("apiVersion: v1\nkind: Service\nmetadata: {name: empty, namespace: mesh}\nspec:\n"
                              "  selector: {app: nobody}\n  ports: [{name: tcp, port: 9}]\n").ok());
  ASSERT_TRUE(eventually([&] { return probe("mesh", {"empty.mesh:9", "--seconds", "3"})["end"] == "ECONNREFUSED"; }));
}

// One cluster serves the parameterized and the plain suite of this program, so it goes down at its end.
class TakeDown : public testing::Environment {
 public:
  void TearDown() override { MatrixTest::take_down(); }
};
[[maybe_unused]] const testing::Environment* const kTakeDown = testing::AddGlobalTestEnvironment(new TakeDown);

}  // namespace
}  // namespace weft::test
