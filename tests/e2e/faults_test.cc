// What fails, and what is declared to happen then. kill -9 of agent, of proxy, of both, under load; capture undone behind
// the agent's back.
//
//   node1: mesh/client, mesh/near    node2: mesh/far
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/cluster.h"
#include "tests/support/counters.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string pod(const std::string& name, const std::string& node) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: mesh, labels: {app: " + name +
         "}}\nspec:\n  nodeName: " + node + "\n  containers: [{name: echo, image: weft/probe, args: [serve, \"7000\"]}]\n" +
         "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: mesh}\nspec:\n  selector: {app: " + name + "}\n  ports: [{name: tcp-echo, port: 7000}]\n";
}

class FaultsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>("e2e-faults");
    ASSERT_EQ(cluster_->trouble(), "");
    const Answer applied = cluster_->apply(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: \"true\"}}\n" +
        pod("client", "node1") + pod("near", "node1") + pod("far", "node2"));
    ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
    ASSERT_EQ(cluster_->wait_for_pods({"mesh/client", "mesh/near", "mesh/far"}), "");
    for (const char* pod : {"mesh/client", "mesh/near", "mesh/far"})
      ASSERT_TRUE(eventually([&] { return cluster_->is_captured(pod); }, seconds(20))) << pod;
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  // Each test breaks a whole node: what the one before has killed is back first, out of its back-off.
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    for (const char* component : {"weft-agent-node1", "weft-proxy-node1"})
      ASSERT_TRUE(eventually([&] { return is_ready(component); }, seconds(40))) << component;
    ASSERT_TRUE(eventually([] { return works("far"); }, seconds(20)));
  }
  static bool is_ready(const std::string& pod) {
    return !cluster_->ctl({"get", "pods", pod, "-n", "weft-system", "--ready", "-o", "name"}).out.empty();
  }

  static pid_t agent_process() { return cluster_->process_of("weft-system", "weft-agent-node1", "weft-agent"); }

  static json probe(std::vector<std::string> words, int limit = 60) {
    return test::probe(*cluster_, "client", "mesh", std::move(words), seconds(limit));
  }
  static bool works(const std::string& server) {
    return probe({server + ".mesh:7000", "--bytes", "100", "--seconds", "3"})["end"] == "eof";
  }
  static bool kill9(const std::string& component) { return cluster_->kill9(component, "node1"); }
  // The namespace with these annotations; its label stays.
  static Answer annotate(const std::string& annotations) {
    return cluster_->apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: \"true\"}, "
                           "annotations: {" + annotations + "}}\n");
  }
  static Counters counters(const std::string& node = "node1") {
    return node_counters(cluster_->name(), node);
  }
  // A connection that stays open for `s` seconds while the test breaks things; its outcome when it ends.
  static std::future<json> held(const std::string& server, int s) {
    return std::async(std::launch::async, [server, s] {
      return probe({server + ".mesh:7000", "--mode", "idle", "--seconds", std::to_string(s)}, s + 20);
    });
  }
  static std::string in_pod_netns(const std::string& command) {
    const Answer answer = cluster_->in_netns_of("mesh", "client", command);
    return answer.out + answer.err;
  }

  static std::unique_ptr<Cluster> cluster_;
};
std::unique_ptr<Cluster> FaultsTest::cluster_;

// What the one before it said does not count, nor that it runs: who kills the proxy then would leave no listener.
TEST_F(FaultsTest, an_agent_that_comes_back_is_ready_once_it_has_captured_its_pods_again) {
  const pid_t before = agent_process();
  ASSERT_TRUE(kill9("weft-agent"));
  ASSERT_TRUE(eventually([&] { return agent_process() != 0 && agent_process() != before; }, seconds(40)));
  ASSERT_TRUE(eventually([] { return is_ready("weft-agent-node1"); }, seconds(20)));
  ASSERT_TRUE(kill9("weft-proxy"));
  const json seen = probe({"far.mesh:7000", "--bytes", "1000", "--seconds", "15"});
  EXPECT_EQ(seen["end"], "eof") << seen;
}

TEST_F(FaultsTest, kernel_path_connections_do_not_notice_the_death_of_agent_and_proxy) {
  auto near = held("near", 8);
  std::this_thread::sleep_for(milliseconds(1000));
  ASSERT_TRUE(kill9("weft-agent"));
  ASSERT_TRUE(kill9("weft-proxy"));
  EXPECT_EQ(near.get()["end"], "timeout");  // it stayed open to the end of its time
  EXPECT_TRUE(eventually([] { return works("near") && works("far"); }, seconds(20)));
}

TEST_F(FaultsTest, under_load_the_kernel_path_loses_nothing_and_the_relay_never_goes_silent) {
  // Waves of fifty connections each way while agent and proxy die together, twice.
  auto waves = [](const std::string& server) {
    return std::async(std::launch::async, [server] {
      std::map<std::string, int> ends;
      for (int wave = 0; wave < 40; ++wave) {
        const json seen = probe({server + ".mesh:7000", "--bytes", "500", "--count", "50", "--seconds", "8"}, 20);
        for (const auto& [end, count] : seen.items())
          if (count.is_number() && end != "of") ends[end] += count.get<int>();
      }
      return ends;
    });
  };
  auto near = waves("near"), far = waves("far");
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(milliseconds(700));
    ASSERT_TRUE(kill9("weft-agent"));
    ASSERT_TRUE(kill9("weft-proxy"));
  }
  const auto near_ends = near.get(), far_ends = far.get();
  EXPECT_EQ(near_ends, (std::map<std::string, int>{{"eof", 2000}, {"good", 2000}}));
  // What the dying proxy carried is reset, what both deaths left without a listener is refused: both at once, no hang.
  for (const auto& [end, count] : far_ends)
    EXPECT_TRUE(end == "good" || end == "eof" || end == "ECONNRESET" || end == "EPIPE" || end == "EPERM" || end == "ECONNREFUSED")
        << end << " " << count;
  EXPECT_GT(far_ends.at("good"), 0);
  EXPECT_TRUE(eventually([] { return works("near") && works("far"); }, seconds(20)));
}

TEST_F(FaultsTest, new_kernel_path_connections_work_while_the_agent_is_dead) {
  ASSERT_TRUE(kill9("weft-agent"));
  EXPECT_TRUE(works("near"));
  EXPECT_TRUE(eventually([] { return works("far"); }, seconds(20)));
}

TEST_F(FaultsTest, relayed_connections_survive_the_death_of_the_agent) {
  auto far = held("far", 8);
  std::this_thread::sleep_for(milliseconds(1000));
  ASSERT_TRUE(kill9("weft-agent"));
  EXPECT_EQ(far.get()["end"], "timeout");
  EXPECT_TRUE(eventually([] { return works("far"); }, seconds(20)));
}

TEST_F(FaultsTest, connections_made_while_the_proxy_is_dead_wait_for_its_successor) {
  ASSERT_TRUE(kill9("weft-proxy"));
  const json seen = probe({"far.mesh:7000", "--bytes", "1000", "--seconds", "15"});
  EXPECT_EQ(seen["end"], "eof") << seen;
  EXPECT_EQ(seen["intact"], true) << seen;
}

TEST_F(FaultsTest, a_rule_removed_behind_the_agents_back_comes_again) {
  ASSERT_TRUE(works("far"));
  const std::string before = in_pod_netns("ip rule; ip route show table all");
  ASSERT_NE(before.find("fwmark"), std::string::npos) << before;
  in_pod_netns("ip rule | awk '/fwmark/ {sub(\":\", \"\", $1); print $1}' | while read p; do ip rule del pref $p; done");
  EXPECT_TRUE(eventually([] { return in_pod_netns("ip rule").find("fwmark") != std::string::npos; }, seconds(5)));
  EXPECT_TRUE(eventually([] { return works("far"); }, seconds(10)));
}

TEST_F(FaultsTest, un_enrolling_and_enrolling_again_keeps_established_connections) {
  auto near = held("near", 10);
  auto far = held("far", 10);
  std::this_thread::sleep_for(milliseconds(1000));
  ASSERT_TRUE(cluster_->ctl({"label", "namespace", "mesh", "weft.mesh/enabled-"}).ok());
  const Counters start = counters();
  EXPECT_TRUE(eventually([] { return works("far"); }, seconds(10)));
  std::this_thread::sleep_for(milliseconds(1500));
  ASSERT_TRUE(cluster_->ctl({"label", "namespace", "mesh", "weft.mesh/enabled=true"}).ok());
  EXPECT_EQ(near.get()["end"], "timeout");
  EXPECT_EQ(far.get()["end"], "timeout");
  EXPECT_TRUE(eventually([&] {
    const Counters before = counters();
    return works("far") && growth(before, counters()).contains("connect_proxy_remote");
  }, seconds(20)));
}

TEST_F(FaultsTest, a_namespace_that_denies_the_caller_is_refused_at_once_and_counted) {
  ASSERT_TRUE(works("near"));
  const Counters before = counters();
  ASSERT_TRUE(annotate("weft.mesh/deny-from: mesh").ok());
  EXPECT_TRUE(eventually([] { return probe({"near.mesh:7000", "--bytes", "10", "--seconds", "3"})["end"] == "EPERM"; }, seconds(10)));
  EXPECT_TRUE(growth(before, counters()).contains("connect_denied_by_policy")) << to_text(growth(before, counters()));
  ASSERT_TRUE(annotate("").ok());
  EXPECT_TRUE(eventually([] { return works("near") && works("far"); }, seconds(10)));
}

}  // namespace
}  // namespace weft::test
