// Deaths of a node's agent and proxy under load (reference enrolment.md 6, row 2): who notices, and that
// nothing of a strict pod is ever plain on the wire between the nodes. Each process is killed once: the
// kubelet starts a container anew at once the first time, and after ten seconds and more from then on; proxies have a
// process beside them that does it sooner (--supervise).
#include <signal.h>

#include <chrono>
#include <future>
#include <thread>

#include "tests/cluster/mesh_lab.h"
#include "tests/support/wire.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

long ms_since(steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start).count();
}

class NodeDeathsTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  void TearDown() override { remove_policy("peerauthentication", "default"); }

  static void make_strict() {
    policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
    ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
    ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "near.mesh")); }));
  }
  // `count` connections from mesh/client that speak ten times a second; what became of them.
  static std::future<json> speaking(const std::string& to, int count, int duration, const std::string& text) {
    return std::async(std::launch::async, [=] {
      const Answer answer =
          lab().exec("mesh", "client",
                     {"probe", "connect", to + ":7000", "--mode", "steady", "--text", text, "--count",
                      std::to_string(count), "--seconds", std::to_string(duration)},
                     seconds(duration + 20));
      json said = json::parse(answer.out, nullptr, false);
      return said.is_discarded() ? json{{"trouble", answer.out + answer.err}} : said;
    });
  }
  static std::vector<pid_t> pids(const std::string& app, const std::string& node) {
    return processes("weft-system", "app=" + app, node, app);
  }
  static void kill_all(const std::vector<pid_t>& victims) {
    ASSERT_FALSE(victims.empty());
    for (const pid_t pid : victims) ASSERT_EQ(kill(pid, SIGKILL), 0);
  }
  // Milliseconds until another process runs in place of those.
  static long until_another_runs(const std::string& app, const std::string& node,
                                 const std::vector<pid_t>& old) {
    const auto start = steady_clock::now();
    EXPECT_TRUE(eventually(
        [&] {
          const auto now = pids(app, node);
          return !now.empty() && now != old;
        },
        seconds(20)))
        << app << " on " << node;
    return ms_since(start);
  }
  static std::unique_ptr<Wire> wire(const std::vector<std::string>& needles) {
    return std::make_unique<Wire>("/run/netns/weft-" + lab().name() + "-node2", "eth0", needles);
  }
};

TEST_F(NodeDeathsTest, the_death_of_an_agent_is_noticed_by_no_connection_old_or_new) {
  ASSERT_NO_FATAL_FAILURE(make_strict());
  const std::string marker = "a-marker-while-an-agent-dies";
  auto between = wire({marker});
  auto tunnelled = speaking("far.mesh", 10, 9, marker), beside = speaking("near.mesh", 10, 9, marker);
  auto fresh = load_from("mesh", "client", "-d " + marker + " http://far.mesh:8888/x", 7, 10);
  std::this_thread::sleep_for(seconds(2));
  const auto old = pids("weft-agent", "node1");
  ASSERT_NO_FATAL_FAILURE(kill_all(old));
  EXPECT_TRUE(is_refused(call("plain", "outsider", "near.mesh"))) << "what is pinned judges on";
  std::printf("the next agent runs after %ld ms\n", until_another_runs("weft-agent", "node1", old));
  EXPECT_EQ(fresh.get(), (Statuses{{"200", 70}}));
  for (json seen : {tunnelled.get(), beside.get()}) {
    EXPECT_EQ(seen.value("timeout", 0), 10) << seen << " (\"timeout\": its own time was over)";
    EXPECT_LT(seen.value("slowest_ms", 1e9), 1000) << seen;
  }
  between->stop();
  EXPECT_EQ(between->trouble(), "");
  EXPECT_EQ(between->found(), 0u);
  EXPECT_GT(between->bytes_of_port(15008), marker.size() * 500);
}

TEST_F(NodeDeathsTest,
       the_death_of_a_proxy_leaves_the_kernels_path_alone_and_new_connections_wait_for_the_next_one) {
  ASSERT_NO_FATAL_FAILURE(make_strict());
  const std::string marker = "a-marker-while-a-proxy-dies";
  auto between = wire({marker});
  auto beside = speaking("near.mesh", 20, 9, marker);
  auto fresh = load_from("mesh", "client", "-d " + marker + " http://far.mesh:8888/x", 7, 10);
  auto fresh_beside = load_from("mesh", "client", "-d " + marker + " http://near.mesh:8888/x", 7, 10);
  std::this_thread::sleep_for(seconds(2));
  const auto old = pids("weft-proxy", "node1");
  ASSERT_NO_FATAL_FAILURE(kill_all(old));
  const long away = until_another_runs("weft-proxy", "node1", old);
  const auto back = steady_clock::now();
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh"); }));
  const long recovery = ms_since(back);
  EXPECT_LT(recovery, 2000) << "from the start of the next proxy on";
  EXPECT_FALSE(works("plain", "outsider", "near.mesh"));
  const json seen = beside.get();
  EXPECT_EQ(seen.value("timeout", 0), 20) << seen;
  EXPECT_EQ(fresh_beside.get(), (Statuses{{"200", 70}})) << "on one node the kernel connects and attests";
  Statuses ends = fresh.get();
  std::printf(
      "the next proxy runs after %ld ms and serves %ld ms later; of 70 new connections %d were answered\n",
      away, recovery, ends["200"]);
  EXPECT_GE(ends["200"], 65) << "those that were in the dead one's hands are cut, the others wait";
  between->stop();
  EXPECT_EQ(between->trouble(), "");
  EXPECT_EQ(between->found(), 0u);
}

// Without the node's kubelet, so that neither comes back before its time; what runs in the pods writes to
// their files.
TEST_F(NodeDeathsTest, with_neither_agent_nor_proxy_new_connections_are_refused_but_where_open_is_declared) {
  apply(namespace_manifest("open", "weft.mesh/enabled: 'true'") + pod_manifest("open", "caller", "node2"));
  ASSERT_TRUE(lab().kubectl({"annotate", "namespace", "open", "weft.mesh/fail-mode=open"}).ok());
  ASSERT_TRUE(lab().has_ready_pods("open", "app", 1));
  ASSERT_TRUE(becomes_captured("open", "caller"));
  const std::string closed = "a-marker-of-a-pod-that-closes", open = "a-marker-of-a-pod-that-opens";
  const auto call_on = [](const std::string& ns, const std::string& pod, const std::string& marker) {
    ASSERT_TRUE(
        lab()
            .exec(ns, pod,
                  {"sh", "-c",
                   "for i in $(seq 80); do curl -s -m 5 -o /dev/null -w '%{http_code} %{exitcode}\\n' -d " +
                       marker + " http://near.mesh:8888/x; sleep 0.1; done >/tmp/ends 2>&1 &"})
            .ok());
  };
  auto between = wire({closed, open});
  call_on("mesh", "far", closed);
  call_on("open", "caller", open);
  std::this_thread::sleep_for(seconds(1));
  const auto agents = pids("weft-agent", "node2"), proxies = pids("weft-proxy", "node2");
  ASSERT_TRUE(lab().cluster({"stop", "node2", "kubelet"}).ok());
  ASSERT_NO_FATAL_FAILURE(kill_all(agents));
  ASSERT_NO_FATAL_FAILURE(kill_all(proxies));
  std::this_thread::sleep_for(seconds(3));
  ASSERT_TRUE(lab().cluster({"start", "node2", "kubelet"}).ok());
  EXPECT_TRUE(eventually([] { return works("mesh", "far", "near.mesh"); }, seconds(40)));
  EXPECT_TRUE(eventually([] { return works("open", "caller", "near.mesh"); }, seconds(10)));
  between->stop();
  EXPECT_EQ(between->trouble(), "");
  EXPECT_EQ(between->found(0), 0u);
  EXPECT_GT(between->found(1), 10u) << "plain, as its namespace declared";
  const std::string closed_ends = lab().exec("mesh", "far", {"cat", "/tmp/ends"}).out;
  const std::string open_ends = lab().exec("open", "caller", {"cat", "/tmp/ends"}).out;
  EXPECT_NE(closed_ends.find("000 7"), std::string::npos) << "refused at once:\n" << closed_ends;
  EXPECT_EQ(closed_ends.find("000 28"), std::string::npos) << "none had to wait until its time was over";
  EXPECT_EQ(open_ends.find("000 7"), std::string::npos) << open_ends;
  lab().kubectl({"delete", "namespace", "open", "--wait=false"});
}

}  // namespace
}  // namespace weft::test
