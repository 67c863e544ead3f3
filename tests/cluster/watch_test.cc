// The second door against a real API server: what kubectl applies comes out as events, whatever the server goes through;
// statuses go into the objects. Run beside the server (see tests/cluster/CMakeLists.txt):
//   WEFT_KUBECONFIG     an admin's kubeconfig
//   WEFT_KUBECTL        the real kubectl
//   WEFT_CLUSTER_TOOL   scripts/cluster, to stop and start the server
#include "agent/watch/cluster.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <algorithm>
#include <thread>

#include "agent/kube/client.h"
#include "agent/parse/json.h"
#include "agent/state/api_status_writer.h"
#include "agent/state/status_patch.h"
#include "tests/support/command.h"
#include "tests/support/scratch_dir.h"

namespace weft::watch {
namespace {

using namespace std::chrono_literals;
using objects::Kind;
using objects::ObjectKey;

constexpr const char* kNs = "weft-watch-test";

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

kube::Config config() {
  auto out = kube::from_kubeconfig(env("WEFT_KUBECONFIG"));
  CHECK(out.has_value());
  return *out;
}

std::string kubectl(std::vector<std::string> words) {
  words.insert(words.begin(), {env("WEFT_KUBECTL"), "--kubeconfig", env("WEFT_KUBECONFIG")});
  const test::Answer answer = test::run(words, 60s);
  EXPECT_TRUE(answer.ok()) << words[3] << ": " << answer.err << answer.out;
  return answer.out;
}

void apply(const std::string& yaml) {
  const test::ScratchDir dir;
  const std::string file = std::string(dir / "object.yaml");
  std::ofstream(file) << yaml;
  kubectl({"apply", "--validate=false", "-f", file});
}

// An unvalidated CRD: what the schema would prune reaches weft's own checks.
std::string crd(const std::string& plural, const std::string& kind) {
  return "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + plural +
         ".networking.istio.io}\nspec:\n  group: networking.istio.io\n  scope: Namespaced\n  names: {plural: " + plural +
         ", kind: " + kind +
         "}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    subresources: {status: {}}\n"
         "    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n"
         "          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}\n"
         "          status: {type: object, x-kubernetes-preserve-unknown-fields: true}\n";
}

void have_crd(const std::string& plural, const std::string& kind) {
  apply(crd(plural, kind));
  kubectl({"wait", "--for=condition=Established", "--timeout=30s", "crd", plural + ".networking.istio.io"});
}

std::string service(const std::string& name, int port) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + kNs +
         "}\nspec: {selector: {app: " + name + "}, ports: [{port: " + std::to_string(port) + "}]}\n";
}

std::string rule(const std::string& name, const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " + name + ", namespace: " + kNs +
         "}\nspec: " + spec + "\n";
}

// What the events add up to.
class Ledger {
 public:
  Sink sink() {
    return [this](std::vector<Event> events) {
      const std::lock_guard lock(mutex_);
      for (const Event& event : events) std::visit([this](const auto& e) { note(e); }, event);
      changed_.notify_all();
    };
  }
  bool eventually(const std::function<bool()>& condition, std::chrono::seconds limit = 30s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, condition);
  }
  objects::ObjectPtr find(Kind kind, const std::string& name, const std::string& ns = kNs) const {
    const auto found = objects_.find({kind, ns, name});
    return found == objects_.end() ? nullptr : found->second;
  }
  bool has(Kind kind, const std::string& name) {
    return eventually([&] { return find(kind, name) != nullptr; });
  }
  bool lacks(Kind kind, const std::string& name) {
    return eventually([&] { return find(kind, name) == nullptr; });
  }
  bool synced() {
    return eventually([&] { return synced_ == 1; });
  }
  size_t removals() {  // of Services
    const std::lock_guard lock(mutex_);
    return removals_;
  }
  std::string warnings() {
    const std::lock_guard lock(mutex_);
    std::string out;
    for (const std::string& warning : warnings_) out += warning + "\n";
    return out;
  }
  std::vector<objects::Finding> findings(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return findings_[{Kind::kDestinationRule, kNs, name}];
  }

 private:
  void note(const Upsert& event) {
    objects_[event.key] = event.object;
    for (const objects::Finding& finding : event.findings) warnings_.push_back(objects::to_string(finding));
  }
  void note(const Remove& event) {
    objects_.erase(event.key);
    findings_.erase(event.key);
    if (event.key.ns == kNs && event.key.kind == Kind::kService) ++removals_;
  }
  void note(const ObjectFindings& event) { findings_[event.key] = event.findings; }
  void note(const FileFindings&) { ADD_FAILURE() << "there are no files behind this door"; }
  void note(const Synced&) { ++synced_; }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ObjectKey, objects::ObjectPtr> objects_;
  std::map<ObjectKey, std::vector<objects::Finding>> findings_;
  std::vector<std::string> warnings_;
  int synced_ = 0;
  size_t removals_ = 0;
};

class ClusterWatchTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);
    ASSERT_FALSE(env("WEFT_KUBECONFIG").empty() || env("WEFT_KUBECTL").empty()) << "these tests need a cluster";
    TearDownTestSuite();
    kubectl({"create", "namespace", kNs});
  }
  static void TearDownTestSuite() {
    kubectl({"delete", "namespace", kNs, "--ignore-not-found", "--wait=true"});
    for (const char* plural : {"destinationrules", "virtualservices"})
      kubectl({"delete", "crd", std::string(plural) + ".networking.istio.io", "--ignore-not-found", "--wait=true"});
  }

  std::unique_ptr<ClusterWatch> open(Ledger& ledger) {
    ClusterWatchOptions options;
    options.config = config();
    options.limits.backoff_first = 100ms;
    options.limits.backoff_most = 2s;
    options.limits.absent_after = 2s;
    auto made = ClusterWatch::create(std::move(options), clock_, ledger.sink());
    CHECK(made.has_value());
    (*made)->start();
    return std::move(*made);
  }

  base::SystemClock clock_;
};

TEST_F(ClusterWatchTest, what_kubectl_applies_changes_and_deletes_comes_out_as_events) {
  Ledger ledger;
  const auto watch = open(ledger);
  ASSERT_TRUE(ledger.synced()) << "although Istio's kinds are not there";
  EXPECT_TRUE(ledger.eventually([&] { return ledger.find(Kind::kNamespace, kNs, "") != nullptr; }));
  apply(service("web", 80));
  ASSERT_TRUE(ledger.has(Kind::kService, "web"));
  const auto first = objects::as<objects::Service>(ledger.find(Kind::kService, "web"));
  EXPECT_EQ(first->cluster_ips.size(), 1u);
  EXPECT_FALSE(first->meta.uid.empty());
  apply(service("web", 81));
  EXPECT_TRUE(ledger.eventually([&] {
    return objects::as<objects::Service>(ledger.find(Kind::kService, "web"))->ports.at(0).port == 81;
  }));
  apply("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: " + std::string(kNs) +
        ", labels: {app: web}}\nspec:\n  nodeSelector: {no-such: node}\n  containers:\n"
        "  - {name: c, image: weft.local/none, ports: [{name: http, containerPort: 8080}]}\n");
  ASSERT_TRUE(ledger.has(Kind::kPod, "p"));
  kubectl({"label", "namespace", kNs, "istio-injection=enabled"});
  EXPECT_TRUE(ledger.eventually(
      [&] { return ledger.find(Kind::kNamespace, kNs, "")->meta.labels.contains("istio-injection"); }));
  kubectl({"delete", "-n", kNs, "pod/p", "svc/web", "--grace-period=0", "--force"});
  EXPECT_TRUE(ledger.lacks(Kind::kPod, "p"));
  EXPECT_TRUE(ledger.lacks(Kind::kService, "web"));
  EXPECT_EQ(watch->counters().unreadable, 0u);
  EXPECT_EQ(watch->counters().refused, 0u) << "everything that runs in this cluster can be read";
  EXPECT_EQ(ledger.warnings(), "");
}

TEST_F(ClusterWatchTest, a_kind_that_is_installed_later_is_picked_up_and_its_refused_objects_say_why) {
  Ledger ledger;
  const auto watch = open(ledger);
  ASSERT_TRUE(ledger.synced());
  have_crd("destinationrules", "DestinationRule");
  apply(rule("good", "{host: web}"));
  ASSERT_TRUE(ledger.has(Kind::kDestinationRule, "good"));
  apply(rule("bad", "{hots: web}"));
  EXPECT_TRUE(test::eventually([&] { return ledger.findings("bad").size() == 2; }, 30s));
  apply(rule("good", "{hots: web}"));
  EXPECT_TRUE(test::eventually([&] { return !ledger.findings("good").empty(); }, 30s));
  EXPECT_TRUE(ledger.has(Kind::kDestinationRule, "good")) << "the last good form";
  apply(rule("good", "{host: other}"));
  EXPECT_TRUE(test::eventually([&] { return ledger.findings("good").empty(); }, 30s));
}

TEST_F(ClusterWatchTest, a_server_that_stops_takes_nothing_back_and_nothing_is_lost_when_it_returns) {
  const std::string tool = env("WEFT_CLUSTER_TOOL");
  ASSERT_FALSE(tool.empty()) << "WEFT_CLUSTER_TOOL stops and starts the server";
  Ledger ledger;
  const auto watch = open(ledger);
  ASSERT_TRUE(ledger.synced());
  for (int i = 0; i < 5; ++i) apply(service("svc" + std::to_string(i), 80));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(ledger.has(Kind::kService, "svc" + std::to_string(i)));
  const size_t before = ledger.removals();
  ASSERT_TRUE(test::run({tool, "stop", "control", "kube-apiserver"}, 60s).ok());
  EXPECT_TRUE(test::eventually(
      [&] {
        const auto all = watch->status();
        return std::ranges::any_of(all, [](const auto& kind) { return kind.phase == kube::ReflectorPhase::kStale; });
      },
      30s));
  std::this_thread::sleep_for(5s);
  EXPECT_EQ(ledger.removals(), before);
  ASSERT_TRUE(test::run({tool, "start", "control", "kube-apiserver"}, 60s).ok());
  ASSERT_TRUE(test::eventually(
      [] {
        return test::run({env("WEFT_KUBECTL"), "--kubeconfig", env("WEFT_KUBECONFIG"), "get", "--raw", "/readyz"}, 10s).ok();
      },
      60s));
  kubectl({"delete", "-n", kNs, "svc/svc0"});
  apply(service("late", 80));
  EXPECT_TRUE(ledger.has(Kind::kService, "late"));
  EXPECT_TRUE(ledger.lacks(Kind::kService, "svc0"));
  for (int i = 1; i < 5; ++i) EXPECT_TRUE(ledger.has(Kind::kService, "svc" + std::to_string(i)));
  EXPECT_EQ(ledger.removals(), before + 1);
}

class StatusTest : public ClusterWatchTest {
 protected:
  StatusTest() {
    auto made = kube::Client::create(config(), clock_);
    CHECK(made.has_value());
    client_ = std::move(*made);
  }
  objects::Node object() {
    auto read = parse::read_json(kubectl({"get", "destinationrules", "-n", kNs, "told", "-o", "json"}));
    CHECK(read.has_value());
    return *read;
  }
  static std::string version_of(const objects::Node& object) {
    return object.at({"metadata", "resourceVersion"}).as_string();
  }
  state::ObjectStatus status(const std::string& word) {
    return {.key = {"DestinationRule", kNs, "told"},
            .generation = 1,
            .conditions = {{"Accepted", "True", "Accepted", word}},
            .api_version = "networking.istio.io/v1",
            .uid = object().at({"metadata", "uid"}).as_string()};
  }
  std::unique_ptr<kube::Client> client_;
};

TEST_F(StatusTest, the_leader_writes_once_what_is_new_and_another_leader_repeats_nothing) {
  have_crd("destinationrules", "DestinationRule");
  apply(rule("told", "{host: web}"));
  state::ApiStatusWriter writer(*client_, clock_);
  ASSERT_TRUE(writer.apply({status("first")}, {}));
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(object().at({"status"}).is_null()) << "who does not lead does not write";
  writer.set_leading(true);
  ASSERT_TRUE(test::eventually([&] { return writer.counters().written == 1; }));
  const objects::Node told = object();
  ASSERT_EQ(told.at({"status", "conditions"}).items().size(), 1u);
  EXPECT_EQ(told.at({"status", "conditions"}).items()[0].at({"message"}).as_string(), "first");
  EXPECT_EQ(told.at({"metadata", "generation"}).as_int(), 1) << "the specification is not touched";

  state::ApiStatusWriter next(*client_, clock_);
  next.set_leading(true);
  ASSERT_TRUE(next.apply({status("first")}, {}));
  ASSERT_TRUE(test::eventually([&] { return next.counters().unchanged == 1; }));
  EXPECT_EQ(version_of(object()), version_of(told));
  std::this_thread::sleep_for(1100ms);  // a time of whole seconds would show
  ASSERT_TRUE(next.apply({status("second")}, {}));
  ASSERT_TRUE(test::eventually([&] { return next.counters().written == 1; }));
  const auto& before = told.at({"status", "conditions"}).items()[0];
  const objects::Node now = object();
  EXPECT_EQ(now.at({"status", "conditions"}).items()[0].at({"lastTransitionTime"}), before.at({"lastTransitionTime"}));
  EXPECT_EQ(now.at({"status", "conditions"}).items()[0].at({"message"}).as_string(), "second");
}

TEST_F(StatusTest, an_object_that_is_gone_or_another_s_is_left_alone) {
  have_crd("destinationrules", "DestinationRule");
  apply(rule("told", "{host: web}"));
  state::ApiStatusWriter writer(*client_, clock_);
  writer.set_leading(true);
  const state::ObjectStatus old = status("old");
  kubectl({"delete", "destinationrules", "-n", kNs, "told"});
  ASSERT_TRUE(writer.apply({old}, {}));
  EXPECT_TRUE(test::eventually([&] { return writer.counters().gone == 1; }));
  apply(rule("told", "{host: web}"));
  ASSERT_TRUE(writer.apply({old}, {}));
  EXPECT_TRUE(test::eventually([&] { return writer.counters().gone == 2; })) << "a namesake";
  const auto foreign = state::status_patch(status("theirs"), object(), objects::Time{});
  ASSERT_TRUE(foreign);
  const auto resource = kube::known_resource("networking.istio.io/v1", "DestinationRule");
  ASSERT_TRUE(client_->apply(*resource, *foreign, {.manager = "somebody", .subresource = "status"}));
  ASSERT_TRUE(writer.apply({status("ours")}, {}));
  EXPECT_TRUE(test::eventually([&] { return writer.counters().conflicts == 1; }));
  EXPECT_EQ(object().at({"status", "conditions"}).items()[0].at({"message"}).as_string(), "theirs");
}

}  // namespace
}  // namespace weft::watch
