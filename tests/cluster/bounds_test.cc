// What a node's proxy may hold (reference enrolment.md 6, row 15): a fixed number of connections, each within
// a fixed bound of memory; whoever comes beyond it is reset and counted, and the neighbours are served on.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

// main.cc: a connection counts as three descriptors, of those that the process may have.
constexpr long kDescriptorsPerConnection = 3;
// An idle connection in a proxy: relay, stream and what they stand in (2 KiB measured;
// userspace-proxy/README.md).
constexpr long kIdleKb = 4;
// hbone/limits.h: bytes that wait for slow readers, of one peer alone; of all workers of a node.
constexpr long kHeldKb = 128 * 1024;

class BoundsTest : public MeshTest {
 protected:
  struct Proxy {
    pid_t pid = 0;
    long descriptors = 0, rss_kb = 0, peak_kb = 0;
    // Of the node, and of one of its workers: connections are not moved from a worker that is full to one
    // that is not.
    [[nodiscard]] long most() const { return descriptors / kDescriptorsPerConnection; }
    [[nodiscard]] long share() const { return most() / std::max(1U, std::thread::hardware_concurrency()); }
  };
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
    if (!lab().get("mesh", "pod", "full").is_null()) return;
    apply(pod_manifest("mesh", "full", "node2") + pod_manifest("mesh", "greedy", "node1") + kStalled);
    for (const char* pod : {"full", "greedy", "stalled"}) ASSERT_TRUE(becomes_captured("mesh", pod)) << pod;
    ASSERT_TRUE(eventually([] { return works("mesh", "greedy", "full.mesh"); }));
  }
  static Proxy proxy(const std::string& node) {
    const auto all = processes("weft-system", "app=weft-proxy", node, "weft-proxy");
    if (all.size() != 1) return {};
    Proxy found{.pid = all.front()};
    const std::string proc = "/proc/" + std::to_string(found.pid);
    std::ifstream limits(proc + "/limits"), status(proc + "/status");
    for (std::string line; std::getline(limits, line);)
      if (line.starts_with("Max open files")) found.descriptors = std::atol(line.c_str() + 26);
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) found.rss_kb = std::atol(line.c_str() + 6);
      if (line.starts_with("VmHWM:")) found.peak_kb = std::atol(line.c_str() + 6);
    }
    return found;
  }
  // Source and destination may each be the one that is full first.
  static uint64_t shed() {
    const std::string name = "weft_proxy_connections_shed_total";
    return metric("node1", name) + metric("node2", name);
  }
  static json probe(const std::string& pod, KubeLab::Words words, int limit) {
    words.insert(words.begin(), {"probe", "connect"});
    const Answer answer = lab().exec("mesh", pod, words, seconds(limit));
    json said = json::parse(answer.out, nullptr, false);
    return said.is_discarded() ? json{{"trouble", answer.out + answer.err}} : said;
  }
  static std::future<json> hoarded(const std::string& to, int count, int duration, KubeLab::Words more) {
    return std::async(std::launch::async, [=] {
      KubeLab::Words words = {to, "--count", std::to_string(count), "--seconds", std::to_string(duration)};
      words.insert(words.end(), more.begin(), more.end());
      return probe("greedy", words, duration + 60);
    });
  }

  // Accepts, and reads nothing.
  static constexpr const char* kStalled = R"(---
apiVersion: v1
kind: Pod
metadata: {name: stalled, namespace: mesh, labels: {app: stalled}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 1
  containers: [{name: tools, image: "weft.local/tools:dev", command: [probe, serve, "7000", --mode, stall]}]
---
apiVersion: v1
kind: Service
metadata: {name: stalled, namespace: mesh}
spec:
  selector: {app: stalled}
  ports: [{name: tcp-echo, port: 7000}]
)";
};

TEST_F(BoundsTest, beyond_its_number_of_connections_a_proxy_resets_who_comes_and_serves_those_it_has) {
  const Proxy before = proxy("node1"), beyond = proxy("node2");
  ASSERT_GT(before.pid, 0);
  ASSERT_LE(before.descriptors, 20'000) << "the budget of a container without CAP_SYS_RESOURCE";
  const uint64_t shed_before = shed();
  const int asked = static_cast<int>(before.most()) + 1'500;
  // One that is there already speaks on all the while.
  auto neighbour = std::async(std::launch::async, [] {
    return probe("client", {"far.mesh:7000", "--mode", "steady", "--count", "2", "--seconds", "20"}, 60);
  });
  auto idle = hoarded("full.mesh:7000", asked, 14, {"--mode", "idle", "--spread", "1"});
  EXPECT_TRUE(eventually([&] { return shed() > shed_before + 100; }, seconds(20)));
  EXPECT_TRUE(works("mesh", "client", "near.mesh")) << "the kernel's path asks no proxy";
  EXPECT_TRUE(is_captured("mesh", "client")) << "the self-test has its place beyond the number";
  const json seen = idle.get();
  const Proxy full = proxy("node1"), full_beyond = proxy("node2");
  const long held = seen.value("timeout", 0), away = static_cast<long>(shed() - shed_before);
  std::printf(
      "of %d connections %ld were held and %ld reset; the proxies' memory: %ld -> %ld and %ld -> %ld KiB\n",
      asked, held, away, before.rss_kb, full.peak_kb, beyond.rss_kb, full_beyond.peak_kb);
  EXPECT_LE(held, before.most()) << seen;
  EXPECT_GE(held, before.share() * 9 / 10) << seen;
  EXPECT_NEAR(static_cast<double>(held + away), asked, asked * 0.05) << "held or counted: " << seen;
  EXPECT_LT(full.peak_kb - before.rss_kb, before.most() * kIdleKb);
  EXPECT_LT(full_beyond.peak_kb - beyond.rss_kb, before.most() * kIdleKb);
  const json spoke = neighbour.get();
  EXPECT_EQ(spoke.value("timeout", 0), 2) << spoke;
  EXPECT_EQ(proxy("node1").pid, before.pid) << "it was restarted";
  EXPECT_TRUE(eventually([] { return works("mesh", "greedy", "full.mesh"); })) << "there is room again";
}

TEST_F(BoundsTest, readers_that_do_not_read_cost_no_more_than_the_bound_of_their_bytes_on_either_node) {
  const Proxy source = proxy("node1"), destination = proxy("node2");
  ASSERT_GT(source.pid, 0);
  ASSERT_GT(destination.pid, 0);
  auto slow = hoarded("stalled.mesh:7000", 200, 10, {"--bytes", "20000000"});
  std::this_thread::sleep_for(seconds(4));
  EXPECT_TRUE(works("mesh", "client", "far.mesh")) << "between the same two proxies";
  const json seen = slow.get();
  const Proxy source_now = proxy("node1"), destination_now = proxy("node2");
  std::printf("200 times 20 MB for nobody: %+ld KiB at the source, %+ld KiB at the destination; %s\n",
              source_now.peak_kb - source.rss_kb, destination_now.peak_kb - destination.rss_kb,
              seen.dump().c_str());
  const long workers = std::max(1U, std::thread::hardware_concurrency());
  EXPECT_LT(source_now.peak_kb - source.rss_kb, workers * kHeldKb);
  EXPECT_LT(destination_now.peak_kb - destination.rss_kb, workers * kHeldKb);
  EXPECT_EQ(seen.value("good", 1), 0) << seen;
  EXPECT_EQ(source_now.pid, source.pid);
  EXPECT_EQ(destination_now.pid, destination.pid);
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
}

}  // namespace
}  // namespace weft::test
