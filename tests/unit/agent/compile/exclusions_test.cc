#include <gtest/gtest.h>

#include "agent/compile/compile.h"
#include "agent/compile/judge.h"
#include "bpf/decide/arrival.h"
#include "bpf/decide/exclude.h"
#include "tests/support/compile_fixture.h"

namespace weft::compile {
namespace {

weft_exclusion_key arrival(const std::string& ip, uint16_t port) {
  const weft_address address = in_kernel(ip);
  weft_exclusion_key key;
  weft_exclusion_of_arrival(&address, port, &key);
  return key;
}

// A local pod at 10.1.0.1 and a remote one at 10.2.0.1 behind one service.
struct World {
  World()
      : here(add_workload(snapshot, "here", {"10.1.0.1"})),
        there(add_workload(snapshot, "there", {"10.2.0.1"})) {
    add_local_pod(snapshot, here);
    add_service(snapshot, "web", {"10.96.0.1"},
                {endpoint("10.1.0.1", 80, here), endpoint("10.2.0.1", 80, there)});
  }
  Tables tables() { return compile(snapshot, ids); }
  uint32_t flags() { return tables().pods.at("uid-here").flags; }
  uint16_t backend_flags(size_t slot) {
    return tables().services.at(key_of("10.96.0.1", 80)).backends.at(slot).flags;
  }

  model::Snapshot snapshot;
  Ids ids;
  uint32_t here, there;
};

TEST(CompileExclusions, without_any_no_table_and_no_flag_speaks_of_them) {
  World world;
  EXPECT_TRUE(world.tables().exclusions.empty());
  EXPECT_EQ(world.flags(), 0U);
  EXPECT_EQ(world.tables().workloads.at(in_kernel("10.2.0.1")).flags, WEFT_WORKLOAD_ENROLLED);
}

TEST(CompileExclusions, calls_stand_under_the_pod_with_its_flag) {
  World world;
  world.snapshot.local_pods[0].excluded_ports = {3306};
  world.snapshot.local_pods[0].excluded_ranges = {*base::Cidr::parse("10.9.0.0/16"),
                                                  *base::Cidr::parse("fd00::/8")};
  const Tables tables = world.tables();
  EXPECT_EQ(world.flags(), uint32_t{WEFT_POD_EXCLUDES_CALLS});
  ASSERT_EQ(tables.exclusions.size(), 3U);
  const uint32_t id = tables.pods.at("uid-here").pod_id;
  std::map<int, uint32_t> bits;
  for (const auto& [key, value] : tables.exclusions) {
    EXPECT_EQ(key.pod_id, id);
    EXPECT_EQ(value.pod_id, id);
    bits[key.kind] = key.prefix_length - WEFT_EXCLUSION_FIXED_BITS;
  }
  EXPECT_EQ(bits, (std::map<int, uint32_t>{
                      {WEFT_EXCLUDE_PORT, 0}, {WEFT_EXCLUDE_RANGE4, 96 + 16}, {WEFT_EXCLUDE_RANGE6, 8}}));
}

TEST(CompileExclusions,
     arrivals_stand_under_the_address_wherever_the_pod_is_and_its_backend_is_none_of_the_mesh) {
  World world;
  world.snapshot.workloads[world.here].excluded_ports = {80};
  world.snapshot.workloads[world.there].excluded_ports = {0};
  const Tables tables = world.tables();
  EXPECT_EQ(world.flags(), uint32_t{WEFT_POD_EXCLUDES_ARRIVALS});
  ASSERT_EQ(tables.exclusions.size(), 2U);
  EXPECT_EQ(tables.exclusions.at(arrival("10.1.0.1", 80)).pod_id, tables.pods.at("uid-here").pod_id);
  EXPECT_EQ(tables.exclusions.at(arrival("10.2.0.1", 0)).pod_id, 0U);
  EXPECT_EQ(tables.workloads.at(in_kernel("10.2.0.1")).flags,
            uint32_t{WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_EXCLUDES});
  EXPECT_EQ(world.backend_flags(0), WEFT_WORKLOAD_LOCAL | WEFT_WORKLOAD_EXCLUDES);
  EXPECT_EQ(world.backend_flags(1), WEFT_WORKLOAD_EXCLUDES);
}

TEST(CompileExclusions, a_backend_at_another_port_stays_in_the_mesh) {
  World world;
  world.snapshot.workloads[world.there].excluded_ports = {81};
  EXPECT_EQ(world.backend_flags(1), WEFT_WORKLOAD_ENROLLED);
}

TEST(CompileExclusions, entries_come_before_the_flags_that_ask_for_them_and_go_after) {
  World world;
  Tables none = world.tables();
  world.snapshot.workloads[world.here].excluded_ports = {80};
  Tables some = world.tables();
  const Changes coming = diff(none, some);
  EXPECT_LT(last<PutExclusion>(coming), first<PutWorkload>(coming));
  EXPECT_LT(last<PutExclusion>(coming), first<SetPod>(coming));
  none = Tables{none};
  const Changes going = diff(some, none);
  EXPECT_GT(first<EraseExclusion>(going), last<SetPod>(going));
  EXPECT_GT(first<EraseExclusion>(going), first<GracePeriod>(going));
  FakeKernel kernel;
  for (const auto& change : coming) kernel.apply(change);
  EXPECT_EQ(kernel.exclusions.size(), 1U);
  for (const auto& change : going) kernel.apply(change);
  EXPECT_TRUE(kernel.exclusions.empty());
}

TEST(CompileExclusions, an_excluded_arrival_is_judged_by_nobody_until_the_exclusion_goes) {
  World world;
  world.snapshot.local_pods[0].peer_mode = model::PeerMode::kStrict;
  const Tables strict = world.tables();
  world.snapshot.workloads[world.here].excluded_ports = {80};
  const Tables open = world.tables();
  const auto judge = [](const Tables& tables, uint16_t port) {
    const Caller stranger{.address = in_kernel("10.3.0.1"), .proof = WEFT_PROOF_NONE};
    return judge_arrival(tables, tables.pods.at("uid-here"), stranger, port).steer;
  };
  EXPECT_EQ(judge(strict, 80), uint32_t{WEFT_STEER_REFUSE});
  EXPECT_EQ(judge(open, 80), uint32_t{WEFT_STEER_APP});
  EXPECT_EQ(judge(open, 81), uint32_t{WEFT_STEER_REFUSE});
  EXPECT_EQ(judge(open, WEFT_HBONE_PORT), uint32_t{WEFT_STEER_INBOUND});
  const std::set<uint32_t> here{open.pods.at("uid-here").pod_id};
  EXPECT_EQ(judged_anew(open, strict), here);
  world.snapshot.workloads[world.here].excluded_ports = {81};
  EXPECT_EQ(judged_anew(open, world.tables()), here) << "another port, the same flag";
}

}  // namespace
}  // namespace weft::compile
