#include "bpf/decide/exclude.h"

#include <gtest/gtest.h>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

TEST(DecideExclude, without_its_flag_nobody_is_asked_and_datagrams_never_are) {
  const weft_pod none = pod_with(WEFT_POD_ENROLLED | WEFT_POD_STRICT),
                 calls = pod_with(WEFT_POD_EXCLUDES_CALLS);
  EXPECT_FALSE(weft_may_exclude_call(&none, IPPROTO_TCP));
  EXPECT_TRUE(weft_may_exclude_call(&calls, IPPROTO_TCP));
  EXPECT_TRUE(weft_may_exclude_call(&calls, WEFT_PROTOCOL_MPTCP));
  EXPECT_FALSE(weft_may_exclude_call(&calls, IPPROTO_UDP));
  EXPECT_FALSE(weft_may_exclude_arrival(&calls, 80, false)) << "directions have a flag each";
  const weft_workload plain{.flags = WEFT_WORKLOAD_ENROLLED}, some{.flags = WEFT_WORKLOAD_EXCLUDES};
  EXPECT_FALSE(weft_callee_may_exclude(nullptr, IPPROTO_TCP));
  EXPECT_FALSE(weft_callee_may_exclude(&plain, IPPROTO_TCP));
  EXPECT_TRUE(weft_callee_may_exclude(&some, IPPROTO_TCP));
  EXPECT_FALSE(weft_callee_may_exclude(&some, IPPROTO_UDP));
}

TEST(DecideExclude, arrivals_by_the_meshs_own_port_and_probes_have_their_own_way) {
  const weft_pod pod = pod_with(WEFT_POD_EXCLUDES_ARRIVALS);
  EXPECT_TRUE(weft_may_exclude_arrival(&pod, 80, false));
  EXPECT_FALSE(weft_may_exclude_arrival(&pod, 80, true));
  EXPECT_FALSE(weft_may_exclude_arrival(&pod, WEFT_HBONE_PORT, false));
}

TEST(DecideExclude, each_family_has_a_kind_of_its_own_and_a_key_has_no_stray_byte) {
  const weft_address v4 = at("10.0.0.9"), v6 = at("fd00::9");
  weft_exclusion_key key;
  std::memset(&key, 0xff, sizeof key);
  weft_exclusion_of_port(5, 80, &key);
  EXPECT_EQ(key.kind, WEFT_EXCLUDE_PORT);
  EXPECT_EQ(key.prefix_length, uint32_t{WEFT_EXCLUSION_FIXED_BITS});
  const weft_address none{};
  EXPECT_EQ(std::memcmp(&key.address, &none, sizeof none), 0);
  weft_exclusion_of_address(5, &v4, &key);
  EXPECT_EQ(key.kind, WEFT_EXCLUDE_RANGE4);
  EXPECT_EQ(key.port, 0);
  weft_exclusion_of_address(5, &v6, &key);
  EXPECT_EQ(key.kind, WEFT_EXCLUDE_RANGE6);
  weft_exclusion_of_arrival(&v4, 80, &key);
  EXPECT_EQ(key.kind, WEFT_EXCLUDE_ARRIVAL);
  EXPECT_EQ(key.pod_id, 0U) << "callers on other nodes know no id";
  EXPECT_EQ(key.prefix_length, uint32_t{WEFT_EXCLUSION_FIXED_BITS + 128});
}

TEST(DecideExclude, the_agents_proof_of_capture_cannot_be_left_out) {
  const weft_service test{.flags = WEFT_SERVICE_SELF_TEST}, web{.flags = WEFT_SERVICE_L7};
  EXPECT_FALSE(weft_excludes_service(&test));
  EXPECT_TRUE(weft_excludes_service(&web));
  EXPECT_TRUE(weft_excludes_service(nullptr));
}

}  // namespace
}  // namespace weft::test
