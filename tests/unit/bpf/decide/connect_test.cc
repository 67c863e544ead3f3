#include "bpf/decide/connect.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

using Verdict = weft_verdict;

void expect(Verdict got, uint32_t action, uint32_t counter, const std::string& row) {
  EXPECT_EQ(got.action, action) << row;
  if (action != WEFT_CONTINUE) {
    EXPECT_EQ(got.counter, counter) << row;
  }
}

TEST(DecideConnect, TheGateLetsThroughOnlyTheTrafficOfArmedPodsToElsewhere) {
  struct Row {
    const char* name;
    uint32_t flags;
    bool exempt;
    uint32_t protocol;
    const char* destination;
    uint32_t action, counter;
  };
  const Row rows[] = {
      {"tcp", WEFT_POD_ENROLLED, false, IPPROTO_TCP, "10.0.0.9", WEFT_CONTINUE, 0},
      {"udp", WEFT_POD_ENROLLED, false, IPPROTO_UDP, "10.0.0.9", WEFT_CONTINUE, 0},
      {"mptcp", WEFT_POD_ENROLLED, false, 262, "10.0.0.9", WEFT_CONTINUE, 0},
      {"icmp", WEFT_POD_ENROLLED, false, IPPROTO_ICMP, "10.0.0.9", WEFT_PASS,
       WEFT_COUNTER_connect_other_protocol},
      {"exempt", WEFT_POD_ENROLLED, true, IPPROTO_TCP, "10.0.0.9", WEFT_PASS, WEFT_COUNTER_connect_exempt},
      {"not armed", WEFT_POD_MARKING, false, IPPROTO_TCP, "10.0.0.9", WEFT_PASS,
       WEFT_COUNTER_connect_not_armed},
      {"loopback", WEFT_POD_ENROLLED, false, IPPROTO_TCP, "127.0.0.1", WEFT_PASS,
       WEFT_COUNTER_connect_loopback},
      {"own v4", WEFT_POD_ENROLLED, false, IPPROTO_TCP, "10.0.0.5", WEFT_PASS,
       WEFT_COUNTER_connect_own_address},
      {"own v6", WEFT_POD_ENROLLED, false, IPPROTO_TCP, "fd00::5", WEFT_PASS,
       WEFT_COUNTER_connect_own_address},
      {"link", WEFT_POD_ENROLLED, false, IPPROTO_TCP, "fe80::9", WEFT_PASS, WEFT_COUNTER_connect_own_address},
  };
  for (const Row& row : rows) {
    const weft_pod pod = pod_with(row.flags);
    const weft_address destination = at(row.destination);
    expect(weft_connect_gate(&pod, row.exempt, row.protocol, &destination), row.action, row.counter,
           row.name);
  }
  const weft_address destination = at("10.0.0.9");
  expect(weft_connect_gate(nullptr, false, IPPROTO_TCP, &destination), WEFT_PASS,
         WEFT_COUNTER_connect_not_enrolled, "nobody");
}

TEST(DecideConnect, AServiceGoesToTheProxyForHttpAndRefusesWithoutBackends) {
  struct Row {
    const char* name;
    uint32_t flags, backends, protocol, action, counter;
  };
  const Row rows[] = {
      {"plain", 0, 3, IPPROTO_TCP, WEFT_CONTINUE, 0},
      {"empty", 0, 0, IPPROTO_TCP, WEFT_REFUSE, WEFT_COUNTER_connect_refused_no_backend},
      {"http", WEFT_SERVICE_L7, 3, IPPROTO_TCP, WEFT_PROXY, WEFT_COUNTER_connect_proxy_layer7},
      {"http over mptcp", WEFT_SERVICE_L7, 3, 262, WEFT_PROXY, WEFT_COUNTER_connect_proxy_layer7},
      {"http, empty: the proxy answers", WEFT_SERVICE_L7, 0, IPPROTO_TCP, WEFT_PROXY,
       WEFT_COUNTER_connect_proxy_layer7},
      {"http of udp", WEFT_SERVICE_L7, 3, IPPROTO_UDP, WEFT_CONTINUE, 0},
      {"http of udp, empty", WEFT_SERVICE_L7, 0, IPPROTO_UDP, WEFT_REFUSE,
       WEFT_COUNTER_connect_refused_no_backend},
      {"self-test", WEFT_SERVICE_SELF_TEST, 0, IPPROTO_TCP, WEFT_PROXY, WEFT_COUNTER_connect_proxy_self_test},
      {"self-test of udp", WEFT_SERVICE_SELF_TEST, 1, IPPROTO_UDP, WEFT_CONTINUE, 0},
      {"local only", WEFT_SERVICE_LOCAL_ONLY, 0, IPPROTO_TCP, WEFT_REFUSE,
       WEFT_COUNTER_connect_refused_no_backend},
  };
  for (const Row& row : rows) {
    weft_service service{};
    service.flags = row.flags;
    service.backend_count = row.backends;
    expect(weft_connect_service(&service, row.protocol), row.action, row.counter, row.name);
  }
}

TEST(DecideConnect, ABackendIsCalledDirectlyUnlessItIsEnrolledElsewhere) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  struct Row {
    const char* name;
    const char* backend;
    const char* destination;
    uint16_t flags;
    uint32_t protocol, action, counter;
  };
  const uint16_t enrolled = WEFT_WORKLOAD_ENROLLED, local = WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL;
  const Row rows[] = {
      {"outside", "10.0.0.9", "10.96.0.1", 0, IPPROTO_TCP, WEFT_DIRECT, WEFT_COUNTER_connect_direct_service},
      {"local, not enrolled", "10.0.0.9", "10.96.0.1", WEFT_WORKLOAD_LOCAL, IPPROTO_TCP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"local", "10.0.0.9", "10.96.0.1", local, IPPROTO_TCP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"remote", "10.0.0.9", "10.96.0.1", enrolled, IPPROTO_TCP, WEFT_PROXY,
       WEFT_COUNTER_connect_proxy_remote},
      {"remote udp", "10.0.0.9", "10.96.0.1", enrolled, IPPROTO_UDP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"v6", "fd00::9", "fd96::1", local, IPPROTO_TCP, WEFT_DIRECT, WEFT_COUNTER_connect_direct_service},
      {"v4 for v6", "10.0.0.9", "fd96::1", local, IPPROTO_TCP, WEFT_REFUSE,
       WEFT_COUNTER_connect_refused_backend_family},
      {"v6 for v4", "fd00::9", "10.96.0.1", enrolled, IPPROTO_TCP, WEFT_REFUSE,
       WEFT_COUNTER_connect_refused_backend_family},
  };
  for (const Row& row : rows) {
    weft_backend backend{};
    backend.address = at(row.backend);
    backend.flags = row.flags;
    const weft_address destination = at(row.destination);
    expect(weft_connect_backend(&pod, &backend, row.protocol, &destination), row.action, row.counter, row.name);
  }
  const weft_address destination = at("10.96.0.1");
  expect(weft_connect_backend(&pod, nullptr, IPPROTO_TCP, &destination), WEFT_REFUSE,
         WEFT_COUNTER_connect_refused_backend_missing, "a hole");
}

TEST(DecideConnect, AWorkloadCalledByItsAddressIsOursOnlyIfEnrolled) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  struct Row {
    const char* name;
    uint32_t flags, protocol, action, counter;
  };
  const Row rows[] = {
      {"not enrolled", 0, IPPROTO_TCP, WEFT_PASS, WEFT_COUNTER_connect_unknown},
      {"local, not enrolled", WEFT_WORKLOAD_LOCAL, IPPROTO_TCP, WEFT_PASS, WEFT_COUNTER_connect_unknown},
      {"local", WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL, IPPROTO_TCP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_workload},
      {"remote", WEFT_WORKLOAD_ENROLLED, IPPROTO_TCP, WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote},
      {"remote udp", WEFT_WORKLOAD_ENROLLED, IPPROTO_UDP, WEFT_PASS, WEFT_COUNTER_connect_unknown},
  };
  for (const Row& row : rows) {
    weft_workload workload{};
    workload.flags = row.flags;
    expect(weft_connect_workload(&pod, &workload, row.protocol), row.action, row.counter, row.name);
  }
  expect(weft_connect_workload(&pod, nullptr, IPPROTO_TCP), WEFT_PASS, WEFT_COUNTER_connect_unknown, "unknown");
}

TEST(DecideConnect, APodOfThisNodeIsCalledThroughTheProxyIfEitherAsksForTls) {
  struct Row {
    const char* name;
    uint32_t caller_flags, callee_flags, callee_pod, protocol, action, counter;
  };
  const uint32_t local = WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL, asks = WEFT_WORKLOAD_TLS_SAME_NODE;
  const Row rows[] = {
      {"neither", 0, local, 6, IPPROTO_TCP, WEFT_DIRECT, WEFT_COUNTER_connect_direct_service},
      {"the caller", WEFT_POD_TLS_SAME_NODE, local, 6, IPPROTO_TCP, WEFT_PROXY,
       WEFT_COUNTER_connect_proxy_same_node},
      {"the callee", 0, local | asks, 6, IPPROTO_TCP, WEFT_PROXY, WEFT_COUNTER_connect_proxy_same_node},
      {"the caller itself", WEFT_POD_TLS_SAME_NODE, local | asks, 5, IPPROTO_TCP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"datagrams", WEFT_POD_TLS_SAME_NODE, local | asks, 6, IPPROTO_UDP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"not enrolled", WEFT_POD_TLS_SAME_NODE, WEFT_WORKLOAD_LOCAL, 0, IPPROTO_TCP, WEFT_DIRECT,
       WEFT_COUNTER_connect_direct_service},
      {"elsewhere", WEFT_POD_TLS_SAME_NODE, WEFT_WORKLOAD_ENROLLED, 0, IPPROTO_TCP, WEFT_PROXY,
       WEFT_COUNTER_connect_proxy_remote},
  };
  const weft_address destination = at("10.96.0.1");
  for (const Row& row : rows) {
    const weft_pod pod = pod_with(WEFT_POD_ENROLLED | row.caller_flags);
    weft_backend backend{};
    backend.address = at("10.0.0.9");
    backend.flags = static_cast<uint16_t>(row.callee_flags);
    backend.pod_id = row.callee_pod;
    expect(weft_connect_backend(&pod, &backend, row.protocol, &destination), row.action, row.counter,
           row.name);
  }
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  weft_workload workload{};
  workload.flags = local | asks;
  workload.pod_id = 6;
  expect(weft_connect_workload(&pod, &workload, IPPROTO_TCP), WEFT_PROXY,
         WEFT_COUNTER_connect_proxy_same_node, "by its address");
}

TEST(DecideConnect, PolicyIsAskedOnceTheCalleeIsKnown) {
  const Verdict same_node{WEFT_PROXY, WEFT_COUNTER_connect_proxy_same_node};
  const Verdict remote{WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote};
  EXPECT_TRUE(weft_connect_is_aimed({WEFT_DIRECT, 0}, true));
  EXPECT_TRUE(weft_connect_is_aimed(same_node, false));
  EXPECT_FALSE(weft_connect_is_aimed(same_node, true)) << "the proxy chooses the backend";
  EXPECT_FALSE(weft_connect_is_aimed(remote, false));
  EXPECT_FALSE(weft_connect_is_aimed({WEFT_DENY, 0}, false));
}

TEST(DecideConnect, AProxyThatCannotBeReachedMeansWhatThePodDeclared) {
  const Verdict proxy{WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote};
  struct Row {
    uint32_t flags;
    bool listener;
    uint32_t action, counter;
  };
  const Row rows[] = {
      {WEFT_POD_MARKING, true, WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote},
      {WEFT_POD_MARKING | WEFT_POD_FAIL_OPEN, true, WEFT_PROXY, WEFT_COUNTER_connect_proxy_remote},
      {WEFT_POD_MARKING, false, WEFT_DENY, WEFT_COUNTER_connect_fail_closed},
      {0, true, WEFT_DENY, WEFT_COUNTER_connect_fail_closed},
      {WEFT_POD_MARKING | WEFT_POD_FAIL_OPEN, false, WEFT_DIRECT, WEFT_COUNTER_connect_fail_open},
      {WEFT_POD_FAIL_OPEN, true, WEFT_DIRECT, WEFT_COUNTER_connect_fail_open},
  };
  for (const Row& row : rows)
    expect(weft_connect_capture(row.flags, row.listener, proxy), row.action, row.counter,
           "flags " + std::to_string(row.flags) + " listener " + std::to_string(row.listener));
}

TEST(DecideConnect, OnlyPodsOfThisNodeThatHaveRulesAreAskedAtConnect) {
  weft_pod caller = pod_with(WEFT_POD_ENROLLED);
  caller.pod_id = 4;
  weft_workload workload{};
  workload.pod_id = 5;
  workload.flags = WEFT_WORKLOAD_LOCAL | WEFT_WORKLOAD_HAS_POLICY;
  EXPECT_TRUE(weft_connect_asks_policy(&caller, &workload, IPPROTO_TCP));
  EXPECT_FALSE(weft_connect_asks_policy(&caller, &workload, IPPROTO_UDP));
  EXPECT_FALSE(weft_connect_asks_policy(&caller, nullptr, IPPROTO_TCP));
  workload.flags = WEFT_WORKLOAD_HAS_POLICY;
  EXPECT_FALSE(weft_connect_asks_policy(&caller, &workload, IPPROTO_TCP));
  workload.flags = WEFT_WORKLOAD_LOCAL;
  EXPECT_FALSE(weft_connect_asks_policy(&caller, &workload, IPPROTO_TCP));
  workload.flags = WEFT_WORKLOAD_LOCAL | WEFT_WORKLOAD_HAS_POLICY;
  workload.pod_id = 0;
  EXPECT_FALSE(weft_connect_asks_policy(&caller, &workload, IPPROTO_TCP));
  workload.pod_id = 4;
  EXPECT_FALSE(weft_connect_asks_policy(&caller, &workload, IPPROTO_TCP)) << "a pod may call itself";
}

TEST(DecideConnect, TheMarkIsSetForTheProxyAndClearedForAllElseAndOtherBitsStay) {
  const uint32_t bit = 0x800000;
  EXPECT_EQ(weft_mark_for(WEFT_PROXY, 0x5, bit), 0x800005U);
  EXPECT_EQ(weft_mark_for(WEFT_PROXY, 0x800005, bit), 0x800005U);
  for (uint32_t action : {WEFT_PASS, WEFT_DIRECT, WEFT_DENY, WEFT_REFUSE})
    EXPECT_EQ(weft_mark_for(action, 0x800005, bit), 0x5U) << action;
}

TEST(DecideConnect, ANameIsRestoredOnlyForThePeerThatItStandsFor) {
  weft_socket socket{};
  socket.backend_address = at("10.0.0.9");
  socket.backend_port = 8080;
  weft_address peer = at("10.0.0.9");
  EXPECT_TRUE(weft_restores(&socket, &peer, 8080));
  EXPECT_FALSE(weft_restores(&socket, &peer, 8081));
  peer = at("10.0.0.8");
  EXPECT_FALSE(weft_restores(&socket, &peer, 8080));
  socket = {};
  peer = {};
  EXPECT_FALSE(weft_restores(&socket, &peer, 0)) << "an empty note says nothing";
}

}  // namespace
}  // namespace weft::test
