#include "agent/compile/judge.h"

#include <gtest/gtest.h>

#include "bpf/decide/arrival.h"
#include "tests/support/compile_fixture.h"

namespace weft::compile {
namespace {

// One pod of id 5; entries are added under it.
struct World {
  Tables tables;
  weft_pod& pod;

  World() : pod(tables.pods["uid"]) { pod.pod_id = 5; }

  weft_policy_key put(weft_rule_action action, weft_subject subject, uint16_t port, uint32_t rule,
                      const std::string& range = "", uint32_t bits = 0) {
    weft_policy_key key{};
    key.prefix_length = WEFT_POLICY_FIXED_BITS + bits;
    key.pod_id = 5;
    key.action = static_cast<uint8_t>(action);
    key.subject = static_cast<uint8_t>(subject);
    key.port = port;
    if (!range.empty()) key.value = in_kernel(range);
    tables.policies[key] = {rule};
    pod.policy_kinds |= WEFT_POLICY_KIND(action, subject, port);
    pod.flags |= WEFT_POD_HAS_POLICY | (action == WEFT_ACTION_ALLOW ? WEFT_POD_HAS_ALLOW : 0);
    return key;
  }
  void put_identity(weft_rule_action action, uint32_t identity, uint32_t rule) {
    weft_policy_key key = put(action, WEFT_SUBJECT_IDENTITY, 0, rule, "", 32);
    tables.policies.erase(key);
    std::memcpy(key.value.bytes, &identity, sizeof identity);
    tables.policies[key] = {rule};
  }
  [[nodiscard]] Judgement judge(const Caller& caller, uint16_t port = 80) const {
    return judge_arrival(tables, pod, caller, port);
  }
};

Caller stranger(const std::string& address) {
  return {.address = in_kernel(address), .proof = WEFT_PROOF_NONE};
}
Caller proven(uint32_t identity) {
  return {.address = in_kernel("10.0.0.9"), .proof = WEFT_PROOF_POD, .identity = identity, .namespace_id = 7};
}

TEST(Judge, WithoutRulesEverybodyComesIn) {
  World world;
  EXPECT_EQ(world.judge(stranger("10.0.0.9")).counter, uint32_t{WEFT_COUNTER_lookup_to_app_anonymous});
  EXPECT_EQ(world.judge(proven(3)).counter, uint32_t{WEFT_COUNTER_lookup_to_app_attested});
  EXPECT_EQ(world.judge(proven(3)).steer, uint32_t{WEFT_STEER_APP});
}

TEST(Judge, StrictnessAndTheModesOfPortsHold) {
  World world;
  world.pod.flags = WEFT_POD_STRICT | WEFT_POD_HAS_PORT_MODES;
  world.tables.port_modes[{5, 81, 0}] = {WEFT_PEERS_PERMISSIVE};
  EXPECT_EQ(world.judge(stranger("10.0.0.9"), 80).counter, uint32_t{WEFT_COUNTER_lookup_refused_anonymous});
  EXPECT_EQ(world.judge(stranger("10.0.0.9"), 81).steer, uint32_t{WEFT_STEER_APP});
  EXPECT_EQ(world.judge(proven(3), 80).steer, uint32_t{WEFT_STEER_APP});
}

TEST(Judge, TheLongestRangeThatHoldsTheAddressNamesTheRule) {
  World world;
  world.put(WEFT_ACTION_DENY, WEFT_SUBJECT_ADDRESS, 0, 1, "10.0.0.0", 96 + 8);
  world.put(WEFT_ACTION_DENY, WEFT_SUBJECT_ADDRESS, 0, 2, "10.0.3.0", 96 + 24);
  EXPECT_EQ(world.judge(stranger("10.0.3.4")).rule_id, 2U);
  EXPECT_EQ(world.judge(stranger("10.9.3.4")).rule_id, 1U);
  EXPECT_EQ(world.judge(stranger("11.0.3.4")).steer, uint32_t{WEFT_STEER_APP});
  world.put(WEFT_ACTION_DENY, WEFT_SUBJECT_ADDRESS, 80, 3, "::", 0);
  EXPECT_EQ(world.judge(stranger("11.0.3.4")).rule_id, 3U) << "a range of everybody";
}

TEST(Judge, AnAllowRuleShutsOutWhatItDoesNotMatchAndDenyGoesFirst) {
  World world;
  world.put_identity(WEFT_ACTION_ALLOW, 3, 4);
  EXPECT_EQ(world.judge(proven(3)).steer, uint32_t{WEFT_STEER_APP});
  EXPECT_EQ(world.judge(proven(2)).counter, uint32_t{WEFT_COUNTER_lookup_refused_by_policy});
  EXPECT_EQ(world.judge(stranger("10.0.0.9")).steer, uint32_t{WEFT_STEER_REFUSE});
  world.put(WEFT_ACTION_DENY, WEFT_SUBJECT_PROVEN, 0, 5);
  EXPECT_EQ(world.judge(proven(3)).rule_id, 5U);
}

TEST(Judge, APodWhoseProxyJudgesTakesNobodyPastIt) {
  World world;
  world.pod.flags = WEFT_POD_INBOUND_PROXY;
  EXPECT_EQ(world.judge(proven(3)).steer, uint32_t{WEFT_STEER_ATTESTED});
  EXPECT_EQ(world.judge(stranger("10.0.0.9")).steer, uint32_t{WEFT_STEER_INBOUND});
}

TEST(Judge, OnlyPodsThatStayAndChangeAreJudgedAnew) {
  World before, same, stricter, ruled, moded;
  EXPECT_TRUE(judged_anew(before.tables, same.tables).empty());
  EXPECT_TRUE(judged_anew({}, stricter.tables).empty()) << "who comes keeps what it has";
  stricter.pod.flags = WEFT_POD_STRICT;
  EXPECT_EQ(judged_anew(before.tables, stricter.tables), std::set<uint32_t>{5});
  ruled.put(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 1);
  EXPECT_EQ(judged_anew(before.tables, ruled.tables), std::set<uint32_t>{5});
  EXPECT_EQ(judged_anew(ruled.tables, before.tables), std::set<uint32_t>{5});
  moded.tables.port_modes[{5, 80, 0}] = {WEFT_PEERS_STRICT};
  EXPECT_EQ(judged_anew(before.tables, moded.tables), std::set<uint32_t>{5});
  before.pod.flags = WEFT_POD_FAIL_OPEN;
  EXPECT_TRUE(judged_anew(before.tables, same.tables).empty()) << "nothing that an arrival is asked";
}

}  // namespace
}  // namespace weft::compile
