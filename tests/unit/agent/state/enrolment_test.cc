#include "agent/state/enrolment.h"

#include <gtest/gtest.h>

#include "tests/support/object_builders.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

state::Enrolment judge(const std::shared_ptr<objects::Pod>& pod,
                       const std::shared_ptr<objects::Namespace>& ns) {
  return state::judge(*pod, ns.get(), state::judge(*ns));
}

TEST(Enrolment, EachOfTheThreeLabelsEnrolsANamespace) {
  for (const auto& [key, value] : Labels{{"istio-injection", "enabled"},
                                         {"istio.io/dataplane-mode", "ambient"},
                                         {"weft.mesh/enabled", "true"}}) {
    EXPECT_TRUE(state::judge(*a_namespace("dev", {{key, value}})).enrolled) << key;
    EXPECT_TRUE(judge(a_pod("dev", "p"), a_namespace("dev", {{key, value}})).enrolled) << key;
  }
  EXPECT_EQ(state::judge(*a_namespace("dev")).reason, "NotSelected");
}

TEST(Enrolment, OwnLabelSetToFalseBeatsTheOthers) {
  const auto ns = a_namespace("dev", {{"istio-injection", "enabled"}, {"weft.mesh/enabled", "false"}});
  EXPECT_EQ(state::judge(*ns).reason, "OptedOut");
  EXPECT_FALSE(judge(a_pod("dev", "p"), ns).enrolled);
}

TEST(Enrolment, InjectionDisabledDoesNotUndoAmbient) {
  EXPECT_TRUE(state::judge(*a_namespace("dev", {{"istio-injection", "disabled"},
                                                {"istio.io/dataplane-mode", "ambient"}}))
                  .enrolled);
}

TEST(Enrolment, PodLabelNoneOptsOut) {
  const auto pod = a_pod("dev", "p", {.labels = {{"istio.io/dataplane-mode", "none"}}});
  EXPECT_EQ(judge(pod, a_namespace("dev", {{"istio-injection", "enabled"}})).reason, "OptedOut");
}

TEST(Enrolment, PodLabelAmbientOptsInWithoutItsNamespace) {
  const auto pod = a_pod("dev", "p", {.labels = {{"istio.io/dataplane-mode", "ambient"}}});
  EXPECT_TRUE(judge(pod, a_namespace("dev")).enrolled);
  EXPECT_TRUE(state::judge(*pod, nullptr, {}).enrolled);
}

TEST(Enrolment, HostNetworkPodsAreLeftAloneAndSaySo) {
  const auto verdict =
      judge(a_pod("dev", "p", {.host_network = true}), a_namespace("dev", {{"istio-injection", "enabled"}}));
  EXPECT_FALSE(verdict.enrolled);
  EXPECT_EQ(verdict.reason, "HostNetwork");
}

TEST(Enrolment, PodsWithASidecarAreLeftAloneAndSaySo) {
  const auto pod = a_pod("dev", "p", {.annotations = {{"sidecar.istio.io/status", "{}"}}});
  EXPECT_EQ(judge(pod, a_namespace("dev", {{"istio.io/dataplane-mode", "ambient"}})).reason, "Sidecar");
}

TEST(Enrolment, InjectFalseOptsOutWhereInjectionAloneEnrols) {
  const auto pod = a_pod("dev", "p", {.labels = {{"sidecar.istio.io/inject", "false"}}});
  EXPECT_EQ(judge(pod, a_namespace("dev", {{"istio-injection", "enabled"}})).reason, "OptedOut");
  EXPECT_TRUE(judge(pod, a_namespace("dev", {{"istio.io/dataplane-mode", "ambient"}})).enrolled);
}

TEST(Enrolment, UnknownValuesCountAsAbsentAndAreReported) {
  const auto ns = state::judge(*a_namespace("dev", {{"istio-injection", "yes"}}));
  EXPECT_FALSE(ns.enrolled);
  ASSERT_EQ(ns.findings.size(), 1u);
  EXPECT_EQ(ns.findings[0].path, "metadata.labels[istio-injection]");
  EXPECT_NE(ns.findings[0].message.find("enabled or disabled"), std::string::npos);

  const auto pod = judge(a_pod("dev", "p", {.labels = {{"istio.io/dataplane-mode", "Ambient"}}}),
                         a_namespace("dev", {{"weft.mesh/enabled", "true"}}));
  EXPECT_TRUE(pod.enrolled);
  EXPECT_EQ(pod.findings.size(), 1u);
}

TEST(Enrolment, SystemNamespacesAreNeverCaptured) {
  const auto ns = a_namespace("kube-system", {{"istio-injection", "enabled"}});
  EXPECT_EQ(state::judge(*ns).reason, "SystemNamespace");
  EXPECT_FALSE(
      judge(a_pod("kube-system", "p", {.labels = {{"istio.io/dataplane-mode", "ambient"}}}), ns).enrolled);
}

TEST(Enrolment, LabellingANamespaceEnrolsItsRunningPodsAndRemovingTheLabelReleasesThem) {
  World world;
  world.put(a_namespace("dev"))
      .put(a_pod("dev", "p",
                 {.ip = "10.1.1.5", .node = "node-1", .annotations = {{"weft.mesh/netns", "/run/netns/p"}}}));
  EXPECT_TRUE(world.look().local_pods.empty());
  world.put(a_namespace("dev", {{"istio-injection", "enabled"}}));
  ASSERT_EQ(world.look().local_pods.size(), 1u);
  EXPECT_TRUE(world.workload("dev", "p")->enrolled);
  EXPECT_EQ(world.sandboxes()[0], (state::PodSandbox{"dev", "p", "uid-p", "/run/netns/p"}));
  EXPECT_TRUE(world.said("Pod", "dev", "p", "Enrolled").starts_with("True Namespace: "));
  world.put(a_namespace("dev"));
  EXPECT_TRUE(world.look().local_pods.empty());
  EXPECT_TRUE(world.said("Pod", "dev", "p", "Enrolled").starts_with("False NotSelected: "));
}

TEST(Enrolment, OnlyPodsOfThisNodeAreLocal) {
  World world;
  world.put(a_namespace("dev", {{"istio-injection", "enabled"}}))
      .put(a_pod("dev", "here", {.ip = "10.1.1.5", .node = "node-1"}))
      .put(a_pod("dev", "there", {.ip = "10.1.2.5", .node = "node-2"}));
  EXPECT_EQ(world.look().local_pods.size(), 1u);
  EXPECT_TRUE(world.workload("dev", "here")->local);
  EXPECT_FALSE(world.workload("dev", "there")->local);
  EXPECT_TRUE(world.workload("dev", "there")->enrolled);
  EXPECT_EQ(world.status("Pod", "dev", "there"), nullptr) << "its own node speaks of it";
}

TEST(Enrolment, AFinishedPodLeavesBothMeshAndAddressesToOthers) {
  World world;
  world.put(a_namespace("dev", {{"istio-injection", "enabled"}}))
      .put(a_pod("dev", "job", {.ip = "10.1.1.5", .node = "node-1", .phase = "Succeeded"}));
  EXPECT_TRUE(world.look().workloads.empty());
  EXPECT_TRUE(world.look().local_pods.empty());
}

}  // namespace
}  // namespace weft::test
