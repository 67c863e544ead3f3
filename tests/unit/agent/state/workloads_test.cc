#include "agent/state/workloads.h"

#include <gtest/gtest.h>

#include "tests/support/object_builders.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

std::string owner(const std::string& kind, const std::string& name, Labels labels = {}) {
  return state::owner_of(
      *a_pod("dev", "pod-0", {.labels = std::move(labels), .owner_kind = kind, .owner = name}));
}

TEST(Workload, OfADeploymentIsNamedWithoutTheReplicaSetsHash) {
  EXPECT_EQ(owner("ReplicaSet", "httpgo-v1-5d8f7c9b4", {{"pod-template-hash", "5d8f7c9b4"}}), "httpgo-v1");
  EXPECT_EQ(owner("ReplicaSet", "httpgo-v1-5d8f7c9b4"), "httpgo-v1");
  EXPECT_EQ(owner("ReplicaSet", "web"), "web");
  EXPECT_EQ(owner("ReplicaSet", "my-frontend"), "my-frontend") << "vowels are in no hash";
}

TEST(Workload, OfOtherOwnersKeepsTheirName) {
  EXPECT_EQ(owner("StatefulSet", "db"), "db");
  EXPECT_EQ(owner("DaemonSet", "logs"), "logs");
  EXPECT_EQ(owner("Deployment", "direct"), "direct");
  EXPECT_EQ(owner("Job", "import-2"), "import-2");
  EXPECT_EQ(owner("Job", "import-28391234"), "import") << "made by a CronJob";
  EXPECT_EQ(owner("Node", "node-1"), "pod-0");
  EXPECT_EQ(owner("", ""), "pod-0");
}

TEST(Workload, NameCanBeSaidByLabel) {
  EXPECT_EQ(owner("StatefulSet", "db", {{"service.istio.io/workload-name", "ledger"}}), "ledger");
}

TEST(Workload, CanonicalNameAndRevisionComeFromLabelsInTheirOrder) {
  const auto of = [](Labels labels) {
    return state::make_workload(*a_pod("dev", "p", {.labels = std::move(labels)}));
  };
  const auto all = of({{"service.istio.io/canonical-name", "a"},
                       {"app.kubernetes.io/name", "b"},
                       {"app", "c"},
                       {"service.istio.io/canonical-revision", "r1"},
                       {"app.kubernetes.io/version", "r2"},
                       {"version", "r3"}});
  EXPECT_EQ(all.canonical_name, "a");
  EXPECT_EQ(all.canonical_revision, "r1");
  const auto some = of({{"app", "c"}, {"version", "r3"}});
  EXPECT_EQ(some.canonical_name, "c");
  EXPECT_EQ(some.canonical_revision, "r3");
  const auto none = of({});
  EXPECT_EQ(none.canonical_name, "p");
  EXPECT_EQ(none.canonical_revision, "latest");
}

TEST(Workload, CarriesAddressesAccountAndNode) {
  auto pod = a_pod("dev", "p", {.ip = "10.1.1.5", .node = "node-1", .account = "robot"});
  pod->status.pod_ips.push_back(ip("fd00::5"));
  const auto made = state::make_workload(*pod);
  EXPECT_EQ(made.addresses, (std::vector<base::Address>{ip("10.1.1.5"), ip("fd00::5")}));
  EXPECT_EQ(made.service_account, "robot");
  EXPECT_EQ(made.node, "node-1");
  EXPECT_EQ(made.uid, "uid-p");
}

// A node's proxy asks for the labels of its own pods alone; a cluster's pods are many.
TEST(Workload, PodsOfOtherNodesAreChosenByTheirLabelsButLeaveThemBehind) {
  World world;
  world.put(a_pod("dev", "here", {.ip = "10.1.1.1", .node = "node-1", .labels = {{"version", "v1"}}}))
      .put(a_pod("dev", "there", {.ip = "10.1.2.1", .node = "node-2", .labels = {{"version", "v2"}}}))
      .put(a_service("dev", "web", "10.96.0.9", {a_port("http", 80)}))
      .put(a_slice("dev", "web-x", "web", {{"http", 8080}},
                   {an_endpoint("10.1.1.1", "dev", "here"), an_endpoint("10.1.2.1", "dev", "there")}))
      .put(a_rule("dev", "web", "web", {{"v2", {{"version", "v2"}}}}));
  for (int round = 0; round < 2; ++round) {
    const model::Snapshot& snapshot = world.look();
    ASSERT_EQ(snapshot.workloads.size(), 2u);
    EXPECT_EQ(snapshot.workloads[0].labels, (Labels{{"version", "v1"}}));
    EXPECT_TRUE(snapshot.workloads[1].labels.empty());
    const auto subset = std::ranges::find(snapshot.clusters, "v2", &model::Cluster::subset);
    ASSERT_NE(subset, snapshot.clusters.end());
    ASSERT_EQ(subset->endpoints.size(), 1u);
    EXPECT_EQ(subset->endpoints[0].workload, 1u);
    // Again with what is remembered of both.
    world.put(a_pod("dev", "zulu", {.ip = "10.1.2.2", .node = "node-2"})).drop(objects::Kind::kPod, "dev", "zulu");
  }
}

}  // namespace
}  // namespace weft::test
