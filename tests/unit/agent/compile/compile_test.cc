#include "agent/compile/compile.h"

#include <gtest/gtest.h>

#include "tests/support/compile_fixture.h"
#include "tests/support/policy_builders.h"

namespace weft::compile {
namespace {

TEST(Compile, WorkloadsStandUnderEachOfTheirAddresses) {
  model::Snapshot snapshot;
  add_workload(snapshot, "remote", {"10.1.0.1", "fd00::1"});
  const uint32_t local = add_workload(snapshot, "local", {"10.1.0.2"});
  add_local_pod(snapshot, local);
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.workloads.size(), 3U);
  const auto& remote = tables.workloads.at(in_kernel("fd00::1"));
  EXPECT_EQ(remote.flags, WEFT_WORKLOAD_ENROLLED);
  EXPECT_EQ(remote.pod_id, 0U);
  EXPECT_EQ(remote.identity, ids.identity("dev/default"));
  EXPECT_EQ(remote.namespace_id, ids.name_space("dev"));
  const auto& here = tables.workloads.at(in_kernel("10.1.0.2"));
  EXPECT_EQ(here.flags, uint32_t{WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL});
  EXPECT_EQ(here.pod_id, tables.pods.at("uid-local").pod_id);
}

TEST(Compile, AHostNetworkPodIsNotKnownByTheNodesAddress) {
  model::Snapshot snapshot;
  snapshot.workloads[add_workload(snapshot, "daemon", {"192.168.0.1"})].host_network = true;
  Ids ids;
  EXPECT_TRUE(compile(snapshot, ids).workloads.empty());
}

TEST(Compile, ALocalPodCarriesItsIdentityModesAndListenerSlots) {
  model::Snapshot snapshot;
  const uint32_t first = add_workload(snapshot, "first", {"10.1.0.1"});
  const uint32_t second = add_workload(snapshot, "second", {"10.1.0.2", "fd00::2"}, "backend");
  add_local_pod(snapshot, first);
  auto& pod = add_local_pod(snapshot, second);
  pod.peer_mode = model::PeerMode::kStrict;
  pod.fail_mode = model::FailMode::kOpen;
  pod.inbound_proxy = true;
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.pods.at("uid-first").flags, 0U);
  EXPECT_EQ(tables.pods.at("uid-first").listener_slot, 0U);
  const auto& entry = tables.pods.at("uid-second");
  EXPECT_EQ(entry.flags, uint32_t{WEFT_POD_STRICT | WEFT_POD_FAIL_OPEN | WEFT_POD_INBOUND_PROXY});
  EXPECT_EQ(entry.listener_slot, uint32_t{WEFT_LISTENERS_PER_POD});
  EXPECT_EQ(entry.identity, ids.identity("dev/backend"));
  EXPECT_EQ(std::memcmp(&entry.ipv4, in_kernel("10.1.0.2").bytes, 16), 0);
  EXPECT_EQ(std::memcmp(&entry.ipv6, in_kernel("fd00::2").bytes, 16), 0);
}

TEST(Compile, PolicyOfALocalPodIsKnownAtItsWorkloadToo) {
  model::Snapshot snapshot;
  const uint32_t workload = add_workload(snapshot, "a", {"10.1.0.1"});
  add_local_pod(snapshot, workload);
  test::give_rules(snapshot, 0, {test::rule(9, false, {.namespaces = test::patterns({"ops"})})});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.policies.size(), 1U);
  EXPECT_EQ(tables.workloads.at(in_kernel("10.1.0.1")).flags,
            uint32_t{WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL | WEFT_WORKLOAD_HAS_ALLOW |
                     WEFT_WORKLOAD_HAS_POLICY});
  EXPECT_EQ(tables.pods.at("uid-a").flags, uint32_t{WEFT_POD_HAS_ALLOW | WEFT_POD_HAS_POLICY});
}

TEST(Compile, AServiceHasOneTablePerAddressWithBackendsOfThatFamily) {
  model::Snapshot snapshot;
  const uint32_t workload = add_workload(snapshot, "a", {"10.1.0.1", "fd00::1"});
  add_service(snapshot, "web", {"10.96.0.1", "fd96::1"},
              {endpoint("10.1.0.1", 8080, workload), endpoint("fd00::1", 8080, workload),
               endpoint("10.9.9.9", 8080)});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  const auto& v4 = tables.services.at(key_of("10.96.0.1", 80));
  const auto& v6 = tables.services.at(key_of("fd96::1", 80));
  EXPECT_NE(v4.head.service_id, v6.head.service_id);
  EXPECT_EQ(v4.head.backend_count, 2U);
  ASSERT_EQ(v6.backends.size(), 1U);
  EXPECT_EQ(v6.backends[0].port, 8080);
  EXPECT_EQ(v6.backends[0].flags, WEFT_WORKLOAD_ENROLLED);
  EXPECT_EQ(v4.backends[1].flags, 0) << "nobody known lives there";
}

TEST(Compile, ARouteTableMakesItsPortLayer7AndNoOtherPort) {
  model::Snapshot snapshot;
  auto& service = snapshot.services[add_service(snapshot, "web", {"10.96.0.1"}, {})];
  service.ports[0].route_table = 0;
  service.ports.push_back({.port = 81, .cluster = 0});
  service.ports.push_back({.port = 53, .protocol = model::Protocol::kUdp, .cluster = 0, .route_table = 0});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.services.at(key_of("10.96.0.1", 80)).head.flags, WEFT_SERVICE_L7);
  EXPECT_EQ(tables.services.at(key_of("10.96.0.1", 81)).head.flags, 0U);
  EXPECT_EQ(tables.services.at(key_of("10.96.0.1", 53, IPPROTO_UDP)).head.flags, 0U)
      << "UDP is never proxied";
}

TEST(Compile, AHeadlessServiceHasNoEntryAndAnEmptyOneHasNoBackend) {
  model::Snapshot snapshot;
  snapshot.services[add_service(snapshot, "headless", {"10.96.0.1"}, {})].headless = true;
  add_service(snapshot, "empty", {"10.96.0.2"}, {});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_FALSE(tables.services.contains(key_of("10.96.0.1", 80)));
  EXPECT_EQ(tables.services.at(key_of("10.96.0.2", 80)).head.backend_count, 0U);
}

TEST(Compile, LocalEndpointsOnlyMeansBackendsOfThisNode) {
  model::Snapshot snapshot;
  const uint32_t here = add_workload(snapshot, "here", {"10.1.0.1"}),
                 there = add_workload(snapshot, "there", {"10.2.0.1"});
  add_local_pod(snapshot, here);
  auto& service = snapshot.services[add_service(
      snapshot, "web", {"10.96.0.1"},
      {endpoint("10.1.0.1", 80, here), endpoint("10.2.0.1", 80, there), endpoint("10.3.0.1", 80)})];
  service.local_endpoints_only = true;
  Ids ids;
  const auto entry = compile(snapshot, ids).services.at(key_of("10.96.0.1", 80));
  ASSERT_EQ(entry.backends.size(), 1U);
  EXPECT_EQ(entry.head.flags, WEFT_SERVICE_LOCAL_ONLY);
  EXPECT_EQ(entry.backends[0].flags, WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL);
  EXPECT_EQ(entry.backends[0].pod_id, 1U);
}

TEST(Compile, AffinityTravelsWithItsTimeOut) {
  model::Snapshot snapshot;
  snapshot.services[add_service(snapshot, "web", {"10.96.0.1"}, {})].affinity_seconds = 300;
  Ids ids;
  const auto head = compile(snapshot, ids).services.at(key_of("10.96.0.1", 80)).head;
  EXPECT_EQ(head.flags, WEFT_SERVICE_AFFINITY);
  EXPECT_EQ(head.affinity_seconds, 300U);
}

TEST(Compile, WeightZeroIsLeftOutAndOneAddressTwiceIsOneBackend) {
  model::Snapshot snapshot;
  add_service(snapshot, "web", {"10.96.0.1"},
              {endpoint("10.1.0.2", 80, model::kNone, 1), endpoint("10.1.0.1", 80, model::kNone, 0),
               endpoint("10.1.0.2", 80, model::kNone, 2), endpoint("10.1.0.3", 80, model::kNone, 1)});
  Ids ids;
  const auto entry = compile(snapshot, ids).services.at(key_of("10.96.0.1", 80));
  ASSERT_EQ(entry.backends.size(), 2U);
  // Three to one: the second slot keeps half of its draws.
  EXPECT_EQ(entry.backends[0].keep_threshold, UINT32_MAX);
  EXPECT_EQ(entry.backends[1].keep_threshold, UINT32_MAX / 2);
  EXPECT_EQ(entry.backends[1].alias, 0U);
}

TEST(Compile, TheOrderOfEndpointsDoesNotMatter) {
  model::Snapshot one, two;
  add_service(one, "web", {"10.96.0.1"}, {endpoint("10.1.0.1", 80), endpoint("10.1.0.2", 80)});
  add_service(two, "web", {"10.96.0.1"}, {endpoint("10.1.0.2", 80), endpoint("10.1.0.1", 80)});
  Ids ids;
  Tables old = compile(one, ids), desired = compile(two, ids);
  EXPECT_TRUE(diff(old, desired).empty());
}

TEST(Compile, TheSelfTestIsAlwaysThereInBothFamilies) {
  Ids ids;
  const Tables tables = compile({}, ids);
  for (const char* ip : {kSelfTestV4, kSelfTestV6}) {
    const auto& head = tables.services.at(key_of(ip, kSelfTestPort)).head;
    EXPECT_EQ(head.flags, WEFT_SERVICE_SELF_TEST);
    EXPECT_EQ(head.backend_count, 0U);
  }
}

TEST(Compile, OneEnrolledPodTooManyIsAProblemWithItsName) {
  model::Snapshot snapshot;
  for (uint32_t i = 0; i <= WEFT_MAX_LOCAL_PODS; ++i)
    add_local_pod(snapshot,
                  add_workload(snapshot, "p" + std::to_string(i),
                               {"10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1)}));
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_EQ(tables.pods.size(), size_t{WEFT_MAX_LOCAL_PODS});
  ASSERT_EQ(tables.problems.size(), 1U);
  EXPECT_NE(tables.problems[0].find("dev/p1024"), std::string::npos) << tables.problems[0];
}

TEST(Compile, IndexesThatLeadNowhereAreLeftOut) {
  model::Snapshot snapshot;
  snapshot.local_pods.push_back({.workload = 5});
  snapshot.services[add_service(snapshot, "web", {"10.96.0.1"}, {endpoint("10.1.0.1", 80, 77)})]
      .ports.push_back({.port = 81, .cluster = 99});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_TRUE(tables.pods.empty());
  EXPECT_EQ(tables.services.at(key_of("10.96.0.1", 81)).head.backend_count, 0U);
  EXPECT_EQ(tables.services.at(key_of("10.96.0.1", 80)).backends[0].flags, 0);
}

TEST(Compile, APodThatAsksForTlsOnTheNodeSaysSoAsCallerAndAsCalled) {
  model::Snapshot snapshot;
  const uint32_t here = add_workload(snapshot, "here", {"10.1.0.1"});
  const uint32_t there = add_workload(snapshot, "there", {"10.2.0.1"});
  for (auto& workload : snapshot.workloads) workload.same_node_tls = true;
  add_local_pod(snapshot, here);
  add_service(snapshot, "web", {"10.96.0.1"}, {endpoint("10.1.0.1", 80, here), endpoint("10.2.0.1", 80, there)});
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  EXPECT_NE(tables.pods.at("uid-here").flags & WEFT_POD_TLS_SAME_NODE, 0U);
  EXPECT_NE(tables.workloads.at(in_kernel("10.1.0.1")).flags & WEFT_WORKLOAD_TLS_SAME_NODE, 0U);
  EXPECT_EQ(tables.workloads.at(in_kernel("10.2.0.1")).flags & WEFT_WORKLOAD_TLS_SAME_NODE, 0U);
  const auto& backends = tables.services.at(key_of("10.96.0.1", 80)).backends;
  ASSERT_EQ(backends.size(), 2U);
  EXPECT_NE(backends[0].flags & WEFT_WORKLOAD_TLS_SAME_NODE, 0);
  EXPECT_EQ(backends[1].flags & WEFT_WORKLOAD_TLS_SAME_NODE, 0);
}

TEST(Compile, AModeOfAPortIsWrittenBeforeThePodThatPointsAtItAndErasedAfter) {
  Tables none, some;
  weft_pod pod{};
  pod.pod_id = 3;
  none.pods.emplace("uid", pod);
  pod.flags = WEFT_POD_HAS_PORT_MODES;
  some.pods.emplace("uid", pod);
  some.port_modes.emplace(weft_port_key{3, 80, 0}, weft_port_mode{WEFT_PEERS_STRICT});
  const auto kinds = [](const Changes& changes) {
    std::vector<size_t> out;
    for (const auto& change : changes) out.push_back(change.index());
    return out;
  };
  const Changes coming = diff(none, some), going = diff(some, none);
  EXPECT_EQ(kinds(coming), kinds({PutPortMode{}, SetPod{}}));
  EXPECT_EQ(kinds(going), kinds({SetPod{}, GracePeriod{}, ErasePortMode{}}));
  FakeKernel kernel;
  for (const auto& change : coming) kernel.apply(change);
  EXPECT_EQ(kernel.port_modes.size(), 1U);
  for (const auto& change : going) kernel.apply(change);
  EXPECT_TRUE(kernel.port_modes.empty());
}

TEST(Compile, ThePodsPortsHaveTheirModesAndThePodSaysThatThereAreSome) {
  model::Snapshot snapshot;
  add_local_pod(snapshot, add_workload(snapshot, "plain", {"10.1.0.1"}));
  auto& pod = add_local_pod(snapshot, add_workload(snapshot, "web", {"10.1.0.2"}));
  pod.port_modes = {{.port = 80, .mode = model::PeerMode::kStrict}, {.port = 81, .mode = model::PeerMode::kPermissive}};
  Ids ids;
  const Tables tables = compile(snapshot, ids);
  const weft_pod& web = tables.pods.at("uid-web");
  EXPECT_NE(web.flags & WEFT_POD_HAS_PORT_MODES, 0U);
  EXPECT_EQ(tables.pods.at("uid-plain").flags & WEFT_POD_HAS_PORT_MODES, 0U);
  ASSERT_EQ(tables.port_modes.size(), 2U);
  EXPECT_EQ(tables.port_modes.at({web.pod_id, 80, 0}).mode, uint32_t{WEFT_PEERS_STRICT});
  EXPECT_EQ(tables.port_modes.at({web.pod_id, 81, 0}).mode, uint32_t{WEFT_PEERS_PERMISSIVE});
}

}  // namespace
}  // namespace weft::compile
