#include "tests/e2e/identity_world.h"

#include <cstdlib>
#include <sstream>
#include <thread>

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr const char* kNodes[] = {"node1", "node2"};

std::string pod(const std::string& ns, const std::string& name, const std::string& node) {
  return "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", labels: {app: " +
         name + "}}\nspec:\n  nodeName: " + node + "\n  serviceAccountName: " + name + R"(
  containers:
  - {name: echo, image: weft/probe, args: [serve, "7000"], ports: [{containerPort: 7000}]}
  - name: web
    image: cmssw/httpgo
    readinessProbe: {httpGet: {path: /healthz, port: 8888}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {tcpSocket: {port: 8888}, periodSeconds: 1, failureThreshold: 3}
---
apiVersion: v1
kind: Service
metadata: {name: )" + name + ", namespace: " + ns + R"(}
spec:
  selector: {app: )" + name + R"(}
  ports: [{name: tcp-echo, port: 7000}, {name: tcp-web, port: 8888}]
)";
}

class Down : public testing::Environment {
 public:
  void TearDown() override { IdentityTest::take_down(); }
};
[[maybe_unused]] auto* const kDown = testing::AddGlobalTestEnvironment(new Down);

}  // namespace

std::unique_ptr<Cluster> IdentityTest::cluster_;

int failures_in(const Ends& ends) {
  int count = 0;
  for (const auto& [end, n] : ends)
    if (!end.starts_with("200")) count += n;
  return count;
}

void IdentityTest::SetUpTestSuite() {
  if (cluster_ != nullptr) return;
  cluster_ = std::make_unique<Cluster>(
      "e2e-identity", std::vector<std::string>{"--nodes", "2", "--certificate-lifetime", "1m"});
  ASSERT_EQ(cluster_->trouble(), "");
  const Answer applied = cluster_->apply(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: \"true\"}}\n"
      "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: plain}\n" +
      pod("mesh", "client", "node1") + pod("mesh", "near", "node1") + pod("plain", "outsider", "node1") +
      pod("mesh", "peer", "node2") + pod("mesh", "far", "node2") + pod("plain", "server", "node2"));
  ASSERT_TRUE(applied.ok()) << applied.out << applied.err;
  ASSERT_EQ(cluster_->wait_for_pods({"mesh/client", "mesh/near", "mesh/peer", "mesh/far", "plain/outsider",
                                     "plain/server", "weft-system/" + control_pod()}),
            "");
  for (const char* name : {"mesh/client", "mesh/near", "mesh/peer", "mesh/far"})
    ASSERT_TRUE(eventually([&] { return cluster_->is_captured(name); }, seconds(20))) << name;
  ASSERT_TRUE(eventually([] { return works("mesh", "client", "far.mesh") && works("mesh", "peer", "near.mesh"); },
                         seconds(30)))
      << everything_said();
}

void IdentityTest::SetUp() { ASSERT_NE(cluster_, nullptr); }

void IdentityTest::TearDown() {
  if (cluster_ == nullptr) return;
  if (HasFailure()) std::printf("--- what the mesh said last\n%s", everything_said().c_str());
  for (const Applied& one : applied_) (void)cluster_->ctl({"delete", one.kind, one.name, "-n", one.ns, "--ignore-not-found"});
  if (applied_.empty()) return;
  EXPECT_TRUE(eventually(
      [] { return works("mesh", "client", "near.mesh") && works("mesh", "client", "far.mesh") && works("plain", "outsider", "far.mesh"); },
      seconds(20)))
      << "without its policies everything is open again";
}

std::string IdentityTest::address(const std::string& ns, const std::string& pod) {
  return cluster_->pod_field(ns, pod, ".status.podIP");
}

void IdentityTest::policy(const std::string& kind, const std::string& name, const std::string& spec,
                          const std::string& ns) {
  const Answer answer = cluster_->apply("apiVersion: security.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name +
                                        ", namespace: " + ns + "}\nspec: " + spec + "\n");
  ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
  applied_.push_back({kind, name, ns});
}

void IdentityTest::remove_policy(const std::string& kind, const std::string& name, const std::string& ns) {
  const Answer answer = cluster_->ctl({"delete", kind, name, "-n", ns});
  ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
}

json IdentityTest::call(const std::string& from_ns, const std::string& from, const std::string& to, int port,
                        int seconds_) {
  return probe(*cluster_, from, from_ns,
               {to + ":" + std::to_string(port), "--bytes", "200", "--seconds", std::to_string(seconds_)},
               seconds(seconds_ + 10));
}

bool IdentityTest::works(const std::string& from_ns, const std::string& from, const std::string& to) {
  const json seen = call(from_ns, from, to);
  return seen["end"] == "eof" && seen.value("received", 0) == 200 && seen.value("intact", false);
}

bool IdentityTest::is_refused(const json& outcome) {
  static const std::set<std::string> kEnds = {"ECONNRESET", "EPIPE", "EPERM", "ECONNREFUSED"};
  return kEnds.contains(outcome.value("end", "")) && outcome.value("received", 0) == 0;
}

std::future<Held> IdentityTest::held(const std::string& to, int limit) {
  return std::async(std::launch::async, [to, limit] {
    Held held;
    held.outcome = probe(*cluster_, "client", "mesh", {to + ":7000", "--mode", "idle", "--seconds", std::to_string(limit)},
                         seconds(limit + 20));
    held.ended = std::chrono::steady_clock::now();
    return held;
  });
}

std::future<Ends> IdentityTest::load(const std::string& to, int length, int rate, const std::string& marker,
                                     std::vector<std::string> more) {
  std::vector<std::string> words = {"curl", "-s", "-m", "10", "--rate", std::to_string(rate) + "/s", "-o", "/dev/null",
                                    "-d", marker, "-w", "%{http_code} %{errormsg}\\n"};
  words.insert(words.end(), more.begin(), more.end());
  words.push_back("http://" + to + ":8888/load?n=[1-" + std::to_string(length * rate) + "]");
  return std::async(std::launch::async, [words, length] {
    const Answer answer = cluster_->exec("client", words, "mesh", seconds(length * 3 + 30));
    Ends ends;
    std::istringstream lines(answer.out);
    for (std::string line; std::getline(lines, line);) ++ends[line];
    if (!answer.err.empty()) ++ends["curl: " + answer.err];
    return ends;
  });
}

void IdentityTest::access_log(bool on) {
  for (const char* node : kNodes)
    EXPECT_TRUE(cluster_
                    ->exec(node, {"curl", "-sf", "-X", "POST",
                                  std::string("http://127.0.0.1:15000/logging?access=") + (on ? "on" : "off")})
                    .ok())
        << node;
}

std::string IdentityTest::everything_said() {
  std::string all;
  for (const char* node : kNodes)
    for (const char* part : {"weft-agent-", "weft-proxy-"})
      all += cluster_->ctl({"logs", std::string(part) + node, "-n", "weft-system", "--tail", "300"}).out;
  return all + cluster_->ctl({"logs", "-l", "app=weft-control", "-n", "weft-system", "--tail", "100"}).out;
}

uint64_t IdentityTest::metric(const std::string& node, const std::string& name, const std::vector<std::string>& labels) {
  return cluster_->metric(node, name, labels);
}

std::unique_ptr<Wire> IdentityTest::wire_between_nodes(std::vector<std::string> needles) {
  return std::make_unique<Wire>(state_file("netns/node1"), "eth0", std::move(needles));
}

std::string IdentityTest::control_pod() {
  std::string name = cluster_->ctl({"get", "pods", "-n", "weft-system", "-l", "app=weft-control", "-o", "name"}).out;
  name = name.substr(0, name.find('\n'));
  return name.substr(name.rfind('/') + 1);
}

Answer IdentityTest::certificates(std::vector<std::string> words) {
  words.insert(words.begin(), {program("weftctl"), "cert"});
  words.insert(words.end(), {"--sandbox", cluster_->name()});
  return run(words);
}

}  // namespace weft::test
