#include "bpf/decide/arrival.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

using Verdict = weft_verdict;

constexpr uint32_t kLo = 1, kEth0 = 2;

void expect(Verdict got, uint32_t steer, uint32_t counter, const std::string& row) {
  EXPECT_EQ(got.action, steer) << row;
  if (steer != WEFT_STEER_CONTINUE) {
    EXPECT_EQ(got.counter, counter) << row;
  }
}

weft_arrival arrival_of(const char* source, const char* destination) {
  weft_arrival arrival{};
  arrival.tuple.source = at(source);
  arrival.tuple.destination = at(destination);
  return arrival;
}

TEST(DecideArrival, OnlyTcpIsAConnection) {
  EXPECT_TRUE(weft_arrival_is_connection(IPPROTO_TCP));
  EXPECT_FALSE(weft_arrival_is_connection(IPPROTO_UDP));
}

TEST(DecideArrival, LoopbackPassesAndAMissingEntryDrops) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  weft_arrival arrival = arrival_of("10.0.0.9", "10.0.0.5");
  expect(weft_arrival_scope(&pod, &arrival), WEFT_STEER_CONTINUE, 0, "tcp");
  expect(weft_arrival_scope(nullptr, &arrival), WEFT_STEER_DROP, WEFT_COUNTER_lookup_no_pod, "no entry");
  for (const char* loopback : {"127.0.0.1", "::1"}) {
    arrival = arrival_of(loopback, loopback);
    expect(weft_arrival_scope(nullptr, &arrival), WEFT_STEER_APP, WEFT_COUNTER_lookup_loopback, loopback);
  }
}

// The pod is 10.0.0.5 and fd00::5. "noted": sockops wrote the connection down in this netns, unmarked.
TEST(DecideArrival, WhoseCallItIsWithTheInterfaceInSight) {
  struct Row {
    const char* name;
    const char* source;
    const char* destination;
    uint32_t ifindex;
    bool own_record, own_delivered;
    uint32_t steer, counter;
  };
  const Row rows[] = {
      {"a peer", "10.0.0.9", "10.0.0.5", kEth0, false, false, WEFT_STEER_CONTINUE, 0},
      {"a peer, v6", "fd00::9", "fd00::5", kEth0, false, false, WEFT_STEER_CONTINUE, 0},
      {"itself", "10.0.0.5", "10.0.0.5", kEth0, true, false, WEFT_STEER_APP, WEFT_COUNTER_lookup_from_self},
      {"itself, record evicted", "10.0.0.5", "10.0.0.5", kEth0, false, false, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"the proxy in a client's name", "10.0.0.9", "10.0.0.5", kEth0, false, true, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"the same over lo", "10.0.0.9", "10.0.0.5", kLo, false, false, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"looped", "10.0.0.5", "10.96.0.1", kLo, false, false, WEFT_STEER_OUTBOUND,
       WEFT_COUNTER_lookup_outbound},
      {"looped, v6", "fd00::5", "fd96::1", kLo, false, false, WEFT_STEER_OUTBOUND,
       WEFT_COUNTER_lookup_outbound},
      {"looped from a further address", "10.9.0.5", "10.96.0.1", kLo, false, false, WEFT_STEER_OUTBOUND,
       WEFT_COUNTER_lookup_outbound},
      {"further address, own name", "10.0.0.5", "10.9.0.5", kEth0, true, false, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"between further addresses", "10.9.0.5", "10.9.0.5", kEth0, false, true, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"link-local, itself", "fe80::5", "fe80::5", kEth0, false, true, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"link-local over lo", "fd00::5", "fe80::5", kLo, false, false, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"a peer calls a further address", "10.9.0.9", "10.9.0.5", kEth0, false, false, WEFT_STEER_CONTINUE, 0},
  };
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  for (const Row& row : rows) {
    weft_arrival arrival = arrival_of(row.source, row.destination);
    arrival.has_ifindex = true;
    arrival.ifindex = row.ifindex;
    arrival.own_record = row.own_record;
    arrival.own_delivered = row.own_delivered;
    expect(weft_arrival_origin(&pod, &arrival), row.steer, row.counter, row.name);
  }
}

// Kernels before 5.17: the field is not there; whatever it would hold must not matter.
TEST(DecideArrival, WhoseCallItIsWithoutTheInterface) {
  struct Row {
    const char* name;
    const char* source;
    const char* destination;
    bool own_record, own_delivered;
    uint32_t steer, counter;
  };
  const Row rows[] = {
      {"a peer", "10.0.0.9", "10.0.0.5", false, false, WEFT_STEER_CONTINUE, 0},
      {"itself", "10.0.0.5", "10.0.0.5", true, false, WEFT_STEER_APP, WEFT_COUNTER_lookup_from_self},
      {"the proxy in a client's name", "10.0.0.9", "10.0.0.5", false, true, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"looped", "10.0.0.5", "10.96.0.1", false, false, WEFT_STEER_OUTBOUND, WEFT_COUNTER_lookup_outbound},
      {"further address, own name", "10.0.0.5", "10.9.0.5", true, false, WEFT_STEER_APP,
       WEFT_COUNTER_lookup_from_self},
      {"looped from a further address: cannot be told", "10.9.0.5", "10.96.0.1", false, false,
       WEFT_STEER_DROP, WEFT_COUNTER_lookup_outbound_dropped},
      {"a peer calls a further address: cannot be told", "10.9.0.9", "10.9.0.5", false, false,
       WEFT_STEER_DROP, WEFT_COUNTER_lookup_outbound_dropped},
  };
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  for (const Row& row : rows)
    for (uint32_t ifindex : {kLo, kEth0}) {
      weft_arrival arrival = arrival_of(row.source, row.destination);
      arrival.ifindex = ifindex;
      arrival.own_record = row.own_record;
      arrival.own_delivered = row.own_delivered;
      expect(weft_arrival_origin(&pod, &arrival), row.steer, row.counter, row.name);
    }
}

TEST(DecideArrival, APodBeingArmedIsPassedByButALoopedSynStillIsNot) {
  const weft_pod pod = pod_with(WEFT_POD_STRICT);
  weft_arrival arrival = arrival_of("10.0.0.9", "10.0.0.5");
  arrival.has_ifindex = true;
  arrival.ifindex = kEth0;
  expect(weft_arrival_origin(&pod, &arrival), WEFT_STEER_APP, WEFT_COUNTER_lookup_not_armed, "a peer");
  arrival = arrival_of("10.0.0.5", "10.96.0.1");
  arrival.has_ifindex = true;
  arrival.ifindex = kLo;
  expect(weft_arrival_origin(&pod, &arrival), WEFT_STEER_OUTBOUND, WEFT_COUNTER_lookup_outbound, "looped");
}

TEST(DecideArrival, MtlsGoesToTheProxyAndAStrictPodWantsProof) {
  struct Row {
    const char* name;
    uint32_t flags;
    uint16_t port;
    weft_proof proof;
    bool strict;
    uint32_t steer, counter;
  };
  const Row rows[] = {
      {"mtls", 0, 15008, WEFT_PROOF_NONE, true, WEFT_STEER_INBOUND, WEFT_COUNTER_lookup_hbone},
      {"mtls, proven", 0, 15008, WEFT_PROOF_POD, false, WEFT_STEER_INBOUND, WEFT_COUNTER_lookup_hbone},
      {"mtls on one node", WEFT_POD_TLS_SAME_NODE, 15008, WEFT_PROOF_POD, true, WEFT_STEER_INBOUND,
       WEFT_COUNTER_lookup_hbone},
      {"a probe of the mtls port", 0, 15008, WEFT_PROOF_PROBE, true, WEFT_STEER_INBOUND,
       WEFT_COUNTER_lookup_hbone},
      {"open", 0, 80, WEFT_PROOF_NONE, false, WEFT_STEER_CONTINUE, 0},
      {"strict", 0, 80, WEFT_PROOF_NONE, true, WEFT_STEER_REFUSE, WEFT_COUNTER_lookup_refused_anonymous},
      {"strict, proven", 0, 80, WEFT_PROOF_POD, true, WEFT_STEER_CONTINUE, 0},
      {"a probe", 0, 80, WEFT_PROOF_PROBE, false, WEFT_STEER_APP, WEFT_COUNTER_lookup_to_app_probe},
      {"a probe of a strict pod", WEFT_POD_TLS_SAME_NODE | WEFT_POD_INBOUND_PROXY, 80, WEFT_PROOF_PROBE, true,
       WEFT_STEER_APP, WEFT_COUNTER_lookup_to_app_probe},
      {"plain on one node", WEFT_POD_TLS_SAME_NODE, 80, WEFT_PROOF_POD, false, WEFT_STEER_REFUSE,
       WEFT_COUNTER_lookup_refused_same_node},
      {"plain from elsewhere, open", WEFT_POD_TLS_SAME_NODE, 80, WEFT_PROOF_NONE, false, WEFT_STEER_CONTINUE,
       0},
      {"plain from elsewhere, strict", WEFT_POD_TLS_SAME_NODE, 80, WEFT_PROOF_NONE, true, WEFT_STEER_REFUSE,
       WEFT_COUNTER_lookup_refused_anonymous},
  };
  for (const Row& row : rows) {
    const weft_pod pod = pod_with(row.flags);
    expect(weft_arrival_proof(&pod, row.port, row.proof, row.strict), row.steer, row.counter, row.name);
  }
}

TEST(DecideArrival, AModeOfThePortStandsAboveThePods) {
  const weft_pod strict = pod_with(WEFT_POD_STRICT), open = pod_with(0);
  const weft_port_mode permissive{WEFT_PEERS_PERMISSIVE}, demanding{WEFT_PEERS_STRICT}, unknown{7};
  EXPECT_TRUE(weft_is_strict(&strict, nullptr));
  EXPECT_FALSE(weft_is_strict(&open, nullptr));
  EXPECT_FALSE(weft_is_strict(&strict, &permissive));
  EXPECT_TRUE(weft_is_strict(&open, &demanding));
  EXPECT_TRUE(weft_is_strict(&open, &unknown)) << "what nobody knows is the stricter one";
}

TEST(DecideArrival, WhatPolicyAdmitsGoesToTheApplicationOrItsProxy) {
  const weft_pod plain = pod_with(0), proxied = pod_with(WEFT_POD_INBOUND_PROXY);
  for (bool proven : {false, true})
    for (const weft_pod* pod : {&plain, &proxied})
      expect(weft_arrival_judge(pod, proven, false), WEFT_STEER_REFUSE, WEFT_COUNTER_lookup_refused_by_policy,
             "denied");
  expect(weft_arrival_judge(&proxied, true, true), WEFT_STEER_ATTESTED, WEFT_COUNTER_lookup_to_proxy_attested,
         "proxied, proven");
  expect(weft_arrival_judge(&proxied, false, true), WEFT_STEER_INBOUND, WEFT_COUNTER_lookup_to_proxy,
         "proxied, anonymous");
  expect(weft_arrival_judge(&plain, true, true), WEFT_STEER_APP, WEFT_COUNTER_lookup_to_app_attested,
         "proven");
  expect(weft_arrival_judge(&plain, false, true), WEFT_STEER_APP, WEFT_COUNTER_lookup_to_app_anonymous,
         "anonymous");
}

TEST(DecideArrival, AMissingListenerOpensOnlyTheInboundSideAndOnlyIfDeclared) {
  const weft_pod closed = pod_with(0), open = pod_with(WEFT_POD_FAIL_OPEN);
  for (const weft_pod* pod : {&closed, &open}) {
    expect(weft_arrival_missing(pod, WEFT_STEER_OUTBOUND), WEFT_STEER_DROP,
           WEFT_COUNTER_lookup_outbound_dropped, "out");
    expect(weft_arrival_missing(pod, WEFT_STEER_REFUSE), WEFT_STEER_DROP, WEFT_COUNTER_lookup_refuse_dropped,
           "refuse");
  }
  for (uint32_t steer : {WEFT_STEER_INBOUND, WEFT_STEER_ATTESTED}) {
    expect(weft_arrival_missing(&closed, steer), WEFT_STEER_DROP, WEFT_COUNTER_lookup_fail_closed, "closed");
    expect(weft_arrival_missing(&open, steer), WEFT_STEER_APP, WEFT_COUNTER_lookup_fail_open, "open");
  }
}

TEST(DecideArrival, EachSteerAndFamilyHasItsListener) {
  const weft_pod pod = pod_with(0);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_OUTBOUND, true), 40U + WEFT_LISTENER_OUTBOUND4);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_OUTBOUND, false), 40U + WEFT_LISTENER_OUTBOUND6);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_INBOUND, true), 40U + WEFT_LISTENER_INBOUND4);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_INBOUND, false), 40U + WEFT_LISTENER_INBOUND6);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_REFUSE, true), 40U + WEFT_LISTENER_REFUSE4);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_REFUSE, false), 40U + WEFT_LISTENER_REFUSE6);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_ATTESTED, true), 40U + WEFT_LISTENER_ATTESTED4);
  EXPECT_EQ(weft_listener_slot(&pod, WEFT_STEER_ATTESTED, false), 40U + WEFT_LISTENER_ATTESTED6);
  for (uint32_t steer : {WEFT_STEER_OUTBOUND, WEFT_STEER_INBOUND, WEFT_STEER_ATTESTED, WEFT_STEER_REFUSE})
    EXPECT_TRUE(weft_arrival_to_listener(steer)) << steer;
  for (uint32_t steer : {WEFT_STEER_APP, WEFT_STEER_DROP}) EXPECT_FALSE(weft_arrival_to_listener(steer));
}

}  // namespace
}  // namespace weft::test
