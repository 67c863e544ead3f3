#include <gtest/gtest.h>

#include "agent/compile/compile.h"
#include "tests/support/compile_fixture.h"
#include "tests/support/policy_builders.h"

namespace weft::compile {
namespace {

// Applies a diff to a kernel and demands after every single write that no service has a half table.
Tables applied(FakeKernel& kernel, const Tables& old, Tables desired, Changes* out = nullptr) {
  Changes changes = diff(old, desired);
  for (const auto& change : changes) {
    kernel.apply(change);
    EXPECT_TRUE(kernel.whole());
  }
  if (out != nullptr) *out = std::move(changes);
  return desired;
}

model::Snapshot one_service(std::vector<model::Endpoint> endpoints) {
  model::Snapshot snapshot;
  add_workload(snapshot, "a", {"10.1.0.1"});
  add_service(snapshot, "web", {"10.96.0.1"}, std::move(endpoints));
  return snapshot;
}

TEST(Diff, NamesAndWorkloadsComeBeforeTheServicesThatNeedThemAndTheFlipAfterItsBackends) {
  Ids ids;
  FakeKernel kernel;
  Changes changes;
  applied(kernel, {}, compile(one_service({endpoint("10.1.0.1", 80, 0)}), ids), &changes);
  EXPECT_LT(last<PutName>(changes), first<PutWorkload>(changes));
  EXPECT_LT(last<PutWorkload>(changes), first<PutBackend>(changes));
  EXPECT_LT(last<PutBackend>(changes), first<PutService>(changes));
  EXPECT_EQ(count<GracePeriod>(changes), 0U) << "nothing was taken away";
}

TEST(Diff, NothingChangesNothing) {
  Ids ids;
  FakeKernel kernel;
  const auto snapshot = one_service({endpoint("10.1.0.1", 80, 0)});
  const Tables old = applied(kernel, {}, compile(snapshot, ids));
  Tables desired = compile(snapshot, ids);
  EXPECT_TRUE(diff(old, desired).empty());
}

TEST(Diff, ANewEndpointIsANewGenerationFlippedToByOneWriteAndTheOldOneGoesAfterAGracePeriod) {
  Ids ids;
  FakeKernel kernel;
  const Tables old = applied(kernel, {}, compile(one_service({endpoint("10.1.0.1", 80, 0)}), ids));
  Changes changes;
  const Tables now =
      applied(kernel, old, compile(one_service({endpoint("10.1.0.1", 80, 0), endpoint("10.1.0.2", 80)}), ids),
              &changes);
  EXPECT_EQ(count<PutBackend>(changes), 2U);
  EXPECT_EQ(count<PutService>(changes), 1U);
  EXPECT_EQ(count<EraseBackend>(changes), 1U);
  EXPECT_LT(last<PutService>(changes), first<GracePeriod>(changes));
  EXPECT_LT(first<GracePeriod>(changes), first<EraseBackend>(changes));
  EXPECT_EQ(now.services.at(key_of("10.96.0.1", 80)).head.generation, 2U);
  EXPECT_EQ(kernel.backends.size(), 2U);
}

TEST(Diff, AFlagAloneFlipsTheHeadAndLeavesTheBackends) {
  Ids ids;
  FakeKernel kernel;
  auto snapshot = one_service({endpoint("10.1.0.1", 80, 0)});
  const Tables old = applied(kernel, {}, compile(snapshot, ids));
  snapshot.services[0].ports[0].route_table = 0;
  Changes changes;
  applied(kernel, old, compile(snapshot, ids), &changes);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(std::get<PutService>(changes[0]).head.flags, WEFT_SERVICE_L7);
  EXPECT_EQ(std::get<PutService>(changes[0]).head.generation, 1U);
}

TEST(Diff, AServiceThatGoesLosesItsEntryFirstAndItsBackendsLast) {
  Ids ids;
  FakeKernel kernel;
  const Tables old = applied(kernel, {}, compile(one_service({endpoint("10.1.0.1", 80, 0)}), ids));
  Changes changes;
  applied(kernel, old, compile({}, ids), &changes);
  EXPECT_LT(last<EraseService>(changes), first<GracePeriod>(changes));
  EXPECT_LT(first<GracePeriod>(changes), first<EraseBackend>(changes));
  EXPECT_LT(last<EraseBackend>(changes), first<EraseWorkload>(changes));
  EXPECT_LT(last<EraseWorkload>(changes), first<EraseName>(changes));
  EXPECT_TRUE(kernel.backends.empty());
  EXPECT_TRUE(kernel.workloads.empty());
}

TEST(Diff, PolicyEntriesComeBeforeTheFlagsThatNeedThemAndGoAfterThem) {
  Ids ids;
  FakeKernel kernel;
  model::Snapshot with;
  add_local_pod(with, add_workload(with, "a", {"10.1.0.1"}));
  test::give_rules(with, 0, {test::rule(9, false, {.namespaces = test::patterns({"x"})})});
  model::Snapshot without = with;
  without.local_pods[0].rules.clear();
  const Tables before = applied(kernel, {}, compile(without, ids));
  Changes coming, going;
  const Tables between = applied(kernel, before, compile(with, ids), &coming);
  EXPECT_LT(last<PutPolicy>(coming), first<PutWorkload>(coming));
  EXPECT_LT(last<PutPolicy>(coming), first<SetPod>(coming));
  applied(kernel, between, compile(without, ids), &going);
  EXPECT_LT(last<SetPod>(going), first<GracePeriod>(going));
  EXPECT_LT(last<PutWorkload>(going), first<GracePeriod>(going));
  EXPECT_LT(first<GracePeriod>(going), first<ErasePolicy>(going));
  EXPECT_TRUE(kernel.policies.empty());
}

TEST(Diff, AffinityKeepsWhereEachBackendStands) {
  Ids ids;
  FakeKernel kernel;
  auto snapshot = one_service({endpoint("10.1.0.1", 80), endpoint("10.1.0.2", 80)});
  snapshot.services[0].affinity_seconds = 60;
  Tables tables = applied(kernel, {}, compile(snapshot, ids));
  EXPECT_EQ(kernel.slots.size(), 2U);
  snapshot.clusters[0].endpoints = {endpoint("10.1.0.2", 80), endpoint("10.1.0.3", 80)};
  Changes changes;
  tables = applied(kernel, tables, compile(snapshot, ids), &changes);
  EXPECT_LT(last<PutBackendSlot>(changes), first<PutService>(changes));
  EXPECT_EQ(count<EraseBackendSlot>(changes), 1U) << "only the backend that went loses its slot";
  const auto& head = kernel.services.at(key_of("10.96.0.1", 80));
  for (const auto& [key, slot] : kernel.slots) {
    EXPECT_EQ(slot.generation, head.generation);
    const auto& backend = kernel.backends.at({head.service_id, head.generation, slot.slot});
    EXPECT_EQ(std::memcmp(&backend.address, &key.address, sizeof key.address), 0);
  }
  snapshot.services[0].affinity_seconds = 0;
  applied(kernel, tables, compile(snapshot, ids));
  EXPECT_TRUE(kernel.slots.empty());
}

TEST(Diff, AnAgentKilledAfterAnyWriteIsFollowedByOneThatEndsInTheSameTables) {
  Ids ids;
  FakeKernel start;
  const Tables old = applied(start, {}, compile(one_service({endpoint("10.1.0.1", 80, 0)}), ids));
  model::Snapshot next = one_service({endpoint("10.1.0.2", 80), endpoint("10.1.0.3", 80)});
  add_local_pod(next, add_workload(next, "b", {"10.1.0.9"}));
  Tables desired = compile(next, ids);
  const Changes changes = diff(old, desired);
  for (size_t killed_after = 0; killed_after <= changes.size(); ++killed_after) {
    FakeKernel kernel = start;
    for (size_t i = 0; i < killed_after; ++i) kernel.apply(changes[i]);
    const Tables pinned = kernel.read_back();
    Ids recovered = Ids::recover(pinned);
    applied(kernel, pinned, compile(next, recovered));
    ASSERT_EQ(kernel.services.size(), 3U);
    EXPECT_EQ(kernel.services.at(key_of("10.96.0.1", 80)).service_id,
              old.services.at(key_of("10.96.0.1", 80)).head.service_id);
    EXPECT_EQ(kernel.backends.size(), 2U) << "killed after write " << killed_after;
    EXPECT_EQ(kernel.workloads.size(), 2U);
    EXPECT_EQ(kernel.names.size(), recovered.names().size());
  }
}

}  // namespace
}  // namespace weft::compile
