// Floods on the HBONE port of one pod, from outside of the mesh and with a certificate of it. Beside each of them another
// pod of the same node is called in a steady rhythm over a tunnel that is there, and a third one over a new tunnel.
//
//   node1: mesh/client  plain/outsider  plain/thief (has a mesh key)
//   node2: mesh/far (attacked)  mesh/calm (called in rhythm)  mesh/fresh-0.. (each called once, during one flood)
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/support/cluster.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kFresh = 8, kRate = 50;
constexpr int kPerFlood = 2;               // seconds of attack
constexpr double kSlowestMs = 500;         // p99 of the neighbour; everything shares this machine's few cores
constexpr long kGrowthKb = 64 * 1024;      // of the proxy's memory, at its peak, over what it was before all floods
const long kWorkers = std::max(1U, std::thread::hardware_concurrency());
constexpr long kHeldKb = 128 * 1024;       // what one peer whose bytes nobody reads may make a worker hold

std::string pod(const std::string& ns, const std::string& name, const std::string& node, const std::string& image) {
  return "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", labels: {app: " +
         name + "}}\nspec:\n  nodeName: " + node + "\n  serviceAccountName: " + name + "\n  containers: [" + image +
         "]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\nspec:\n  selector: {app: " + name + "}\n  ports: [{name: tcp-echo, port: 7000}, {name: tcp-web, port: 8888}]\n";
}
const std::string kEcho = "{name: echo, image: weft/probe, args: [serve, \"7000\"]}";
const std::string kDeaf = "{name: deaf, image: weft/probe, args: [serve, \"7001\", --mode, deaf]}";
const std::string kLate = "{name: late, image: weft/probe, args: [serve, \"7002\", --mode, late, --seconds, \"2\"]}";
const std::string kWeb = "{name: web, image: cmssw/httpgo}";

// How a steady rhythm of requests went.
struct Rhythm {
  std::vector<double> ms;  // sorted
  std::map<std::string, int> failures;
  [[nodiscard]] double at(double part) const {
    return ms.empty() ? 1e9 : ms[std::min(ms.size() - 1, static_cast<size_t>(part * static_cast<double>(ms.size())))];
  }
};

// What a process has used so far.
struct Use {
  long rss_kb = 0;
  double cpu_seconds = 0;
};
Use use_of(pid_t pid) {
  Use use;
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream status(proc + "/status"), stat(proc + "/stat");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) use.rss_kb = std::atol(line.c_str() + 6);
  std::string text;
  std::getline(stat, text);
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  use.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return use;
}

// The largest memory of a process while this lives.
class Peak {
 public:
  explicit Peak(pid_t pid)
      : thread_([this, pid] {
          while (!stop_) {
            kb_ = std::max(kb_.load(), use_of(pid).rss_kb);
            std::this_thread::sleep_for(milliseconds(20));
          }
        }) {}
  ~Peak() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] long kb() const { return kb_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<long> kb_{0};
  std::thread thread_;
};

struct Attack {
  std::string mode, from;  // from: a pod of `plain`
  int seconds = kPerFlood;
  int port = 7000;         // of the application
  long growth_kb = kGrowthKb;
};

class FloodTest : public testing::Test {
 public:
  static void take_down() { cluster_.reset(); }

 protected:
  using Counts = std::map<std::string, uint64_t>;

  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>("e2e-floods");
    ASSERT_EQ(cluster_->trouble(), "");
    std::string objects =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: \"true\"}}\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n" +
        pod("mesh", "client", "node1", kEcho) + pod("plain", "outsider", "node1", kEcho) +
        pod("plain", "thief", "node1", kEcho) + pod("mesh", "far", "node2", kEcho + ", " + kDeaf) + pod("mesh", "calm", "node2", kWeb + ", " + kLate);
    std::vector<std::string> names = {"mesh/client", "mesh/far", "mesh/calm", "plain/outsider", "plain/thief"};
    for (int i = 0; i < kFresh; ++i) {
      objects += pod("mesh", "fresh-" + std::to_string(i), "node2", kEcho);
      names.push_back("mesh/fresh-" + std::to_string(i));
    }
    const Answer applied = cluster_->apply(objects);
    ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
    ASSERT_EQ(cluster_->wait_for_pods(names), "");
    ASSERT_TRUE(eventually([] { return cluster_->is_captured("mesh/client") && cluster_->is_captured("mesh/fresh-7"); }));
    ASSERT_TRUE(eventually([] { return rhythm(1).failures.empty() && works("far.mesh"); }, seconds(20)));
    steal_a_certificate();
    proxy_ = cluster_->process_of("weft-system", "weft-proxy-node2", "weft-proxy");
    victim_ = cluster_->pod_field("mesh", "far", ".status.podIP");
    calm_memory_kb_ = use_of(proxy_).rss_kb;
    before_ = rhythm(1);
    std::printf("before: p50 %.2f ms, p99 %.2f ms, proxy %ld KiB\n", before_.at(0.5), before_.at(0.99), calm_memory_kb_);
    ASSERT_EQ(before_.failures, (std::map<std::string, int>{}));
  }

  // Signed with the CA's own key: an identity like any pod's, in the wrong hands.
  static void steal_a_certificate() {
    const std::string ca = "/run/weft/sandbox/" + cluster_->name() + "/ca", own = scratch_->path();
    const Answer made = run({"bash", "-ec",
        "cd " + own + "; openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem "
        "-out csr.pem -subj /O=thief; printf 'subjectAltName=critical,URI:spiffe://cluster.local/ns/mesh/sa/client\\n"
        "keyUsage=critical,digitalSignature\\nextendedKeyUsage=serverAuth,clientAuth\\nbasicConstraints=critical,CA:FALSE\\n' "
        "> ext; openssl x509 -req -in csr.pem -CA " + ca + "/ca-cert.pem -CAkey " + ca + "/ca-key.pem -CAcreateserial "
        "-CAserial serial -days 1 -sha256 -extfile ext -out cert.pem"});
    ASSERT_TRUE(made.ok()) << made.err;
  }

  static bool works(const std::string& name) {
    const json seen = probe(*cluster_, "client", "mesh", {name + ":7000", "--bytes", "200", "--seconds", "5"});
    return seen["end"] == "eof" && seen.value("received", 0) == 200;
  }

  static json send_to_the_late_one(size_t bytes) {
    const std::string where = cluster_->pod_field("mesh", "calm", ".status.podIP") + ":7002";
    return probe(*cluster_, "client", "mesh", {where, "--bytes", std::to_string(bytes), "--seconds", "20"});
  }

  // A new connection each time, over the tunnel that is there.
  static Rhythm rhythm(int length) {
    const Answer answer = cluster_->exec(
        "client", {"curl", "-s", "-m", "10", "--rate", std::to_string(kRate) + "/s", "-o", "/dev/null", "-H",
                   "Connection: close", "-w", "%{http_code} %{time_total} %{errormsg}\\n",
                   "http://calm.mesh:8888/rhythm?n=[1-" + std::to_string(length * kRate) + "]"},
        "mesh", seconds(length * 3 + 30));
    Rhythm seen;
    std::istringstream lines(answer.out);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      int status = 0;
      double took = 0;
      words >> status >> took;
      seen.ms.push_back(took * 1000);
      if (status != 200) ++seen.failures[line];
    }
    if (seen.ms.size() != static_cast<size_t>(length * kRate)) ++seen.failures["not all were asked: " + answer.err];
    std::ranges::sort(seen.ms);
    return seen;
  }

  // Of node2's proxy, each name without its prefix and suffix.
  static Counts counters() {
    std::istringstream lines(cluster_->metrics("node2"));
    Counts counts;
    constexpr std::string_view kPrefix = "weft_proxy_", kSuffix = "_total";
    for (std::string line; std::getline(lines, line);) {
      const size_t end = line.find(kSuffix);
      if (!line.starts_with(kPrefix) || end == std::string::npos) continue;
      counts[line.substr(kPrefix.size(), end - kPrefix.size())] +=
          static_cast<uint64_t>(std::atof(line.c_str() + line.rfind(' ')));
    }
    return counts;
  }

  static json attack(const Attack& what) {
    const std::string netns = cluster_->pod_field("plain", what.from, ".metadata.annotations.weft\\.mesh/netns");
    std::vector<std::string> words = {"nsenter", "--net=" + netns, program("flood"), what.mode, victim_ + ":15008",
                                      "--seconds", std::to_string(what.seconds)};
    if (what.from == "thief")
      for (const std::string& word : {std::string("--cert"), *scratch_ / "cert.pem", std::string("--key"),
                                      *scratch_ / "key.pem", std::string("--authority"), victim_ + ":" + std::to_string(what.port)})
        words.push_back(word);
    const Answer answer = run(words, seconds(what.seconds + 10));
    auto said = json::parse(answer.out, nullptr, false);
    return said.is_discarded() ? json{{"trouble", answer.out + answer.err}} : said;
  }

  // The flood, and that it did its neighbours no harm.
  void withstand(const Attack& what) {
    const Counts counted = counters();
    const Use use = use_of(proxy_);
    const Peak peak(proxy_);
    auto called = std::async(std::launch::async, rhythm, what.seconds);
    auto attacker = std::async(std::launch::async, attack, what);
    std::this_thread::sleep_for(milliseconds(what.seconds * 600));
    const auto start = steady_clock::now();
    EXPECT_TRUE(works("fresh-" + std::to_string(next_fresh_++) + ".mesh")) << "a new tunnel to the node under attack";
    const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    EXPECT_LT(took, seconds(2));
    done_ = attacker.get();
    const Rhythm during = called.get();
    const double cpu = use_of(proxy_).cpu_seconds - use.cpu_seconds;
    counted_ = counters();
    for (const auto& [name, value] : counted) counted_[name] -= value;
    std::printf("%s: p50 %.2f ms, p99 %.2f ms, slowest %.2f ms; new tunnel %ld ms; proxy %+ld KiB at most, %.2f CPU s in %d s; %s\n",
                what.mode.c_str(), during.at(0.5), during.at(0.99), during.at(1), took.count(),
                peak.kb() - calm_memory_kb_, cpu, what.seconds, done_.dump().c_str());
    for (const auto& [name, value] : counted_)
      if (value > 0 && (name.starts_with("tls_") || name.starts_with("hbone_"))) std::printf("    %s %lu\n", name.c_str(), value);
    EXPECT_EQ(during.failures, (std::map<std::string, int>{}));
    EXPECT_LT(during.at(0.99), kSlowestMs);
    EXPECT_LT(peak.kb() - calm_memory_kb_, what.growth_kb);
    EXPECT_EQ(cluster_->process_of("weft-system", "weft-proxy-node2", "weft-proxy"), proxy_) << "it was restarted";
    EXPECT_TRUE(eventually(is_at_rest, seconds(5))) << "the flood is over, its work should be too";
    EXPECT_TRUE(works("far.mesh")) << "the pod itself is well again";
  }
  static bool is_at_rest() {
    const double before = use_of(proxy_).cpu_seconds;
    std::this_thread::sleep_for(milliseconds(200));
    return use_of(proxy_).cpu_seconds - before < 0.06;
  }
  uint64_t counted(const std::string& name) { return counted_[name]; }
  uint64_t done(const std::string& name) { return done_.value(name, uint64_t{0}); }

 private:
  static std::unique_ptr<Cluster> cluster_;
  static std::unique_ptr<ScratchDir> scratch_;
  static Rhythm before_;
  static std::string victim_;
  static pid_t proxy_;
  static long calm_memory_kb_;
  static int next_fresh_;
  json done_;
  Counts counted_;
};

std::unique_ptr<Cluster> FloodTest::cluster_;
std::unique_ptr<ScratchDir> FloodTest::scratch_ = std::make_unique<ScratchDir>();
Rhythm FloodTest::before_;
std::string FloodTest::victim_;
pid_t FloodTest::proxy_ = 0;
long FloodTest::calm_memory_kb_ = 0;
int FloodTest::next_fresh_ = 0;

class Down : public testing::Environment {
 public:
  void TearDown() override { FloodTest::take_down(); }
};
[[maybe_unused]] auto* const kDown = testing::AddGlobalTestEnvironment(new Down);

TEST_F(FloodTest, handshakes_of_an_outsider_wait_beyond_his_rate) {
  withstand({"handshakes", "outsider"});
  EXPECT_GT(counted("tls_queued"), 20u);
  // A burst of 100 and 50 per second, in each of two workers.
  EXPECT_LT(counted("tls_failed_untrusted") + counted("tls_failed_protocol") + counted("tls_failed_closed"), 500u);
}

TEST_F(FloodTest, handshakes_that_are_never_finished_end_after_ten_seconds_and_leave_room_for_others) {
  withstand({"slow", "outsider", 11});
  EXPECT_GT(done("connections"), 256u);
  EXPECT_GT(counted("tls_failed_timeout"), 0u);
  EXPECT_GT(counted("tls_shed"), 0u);
}

TEST_F(FloodTest, requests_taken_back_at_once) {
  withstand({"rapid-reset", "thief"});
  EXPECT_GT(counted("hbone_floods"), 1u);
  EXPECT_LT(counted("hbone_streams_accepted"), kPerFlood * kRate + 10u) << "none of them reached the application";
}

TEST_F(FloodTest, pings) {
  withstand({"ping", "thief"});
  EXPECT_GT(counted("hbone_floods"), 1u);
  EXPECT_GT(done("frames"), 20'000u);
}

TEST_F(FloodTest, settings) {
  withstand({"settings", "thief"});
  EXPECT_GT(counted("hbone_floods"), 1u);
}

TEST_F(FloodTest, heads_without_an_end) {
  withstand({"continuation", "thief"});
  EXPECT_GT(counted("hbone_floods"), 1u);
}

TEST_F(FloodTest, windows_of_one_byte) {
  withstand({"window-one", "thief"});
  EXPECT_GT(counted("hbone_streams_accepted"), 100u);
  EXPECT_GT(counted("hbone_floods"), 0u);
}

TEST_F(FloodTest, bytes_for_an_application_that_does_not_accept) {
  // A neighbour that is slow for a while: its bytes wait in the proxy too.
  auto slow = std::async(std::launch::async, send_to_the_late_one, size_t{64'000'000});
  withstand({.mode = "hoard", .from = "thief", .seconds = 3, .port = 7001, .growth_kb = kWorkers * kHeldKb + kGrowthKb});
  EXPECT_GT(counted("hbone_streams_shed"), 1u);
  const json seen = slow.get();
  EXPECT_EQ(seen["end"], "eof") << seen;
  EXPECT_EQ(seen.value("received", 0), 64'000'000) << seen;
}

}  // namespace
}  // namespace weft::test
