#include "agent/state/services.h"

#include <gtest/gtest.h>

#include "agent/state/protocol.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

using model::Protocol;

Protocol protocol(const std::string& name, const std::string& app_protocol = "") {
  objects::ServicePort port = a_port(name, 9000);
  port.app_protocol = app_protocol;
  return state::protocol_of(port).protocol;
}

TEST(PortProtocol, IsReadFromTheNameUpToTheFirstDash) {
  EXPECT_EQ(protocol("http"), Protocol::kHttp);
  EXPECT_EQ(protocol("HTTP-web"), Protocol::kHttp);
  EXPECT_EQ(protocol("http2"), Protocol::kHttp2);
  EXPECT_EQ(protocol("grpc-api"), Protocol::kGrpc);
  EXPECT_EQ(protocol("grpc-web-x"), Protocol::kGrpc);
  EXPECT_EQ(protocol("https"), Protocol::kTls);
  EXPECT_EQ(protocol("tls-db"), Protocol::kTls);
  EXPECT_EQ(protocol("redis"), Protocol::kTcp);
  EXPECT_EQ(protocol("httpx"), Protocol::kTcp);
  EXPECT_EQ(protocol(""), Protocol::kTcp);
}

TEST(PortProtocol, OfTheAppProtocolGoesBeforeTheName) {
  EXPECT_EQ(protocol("tcp", "http"), Protocol::kHttp);
  EXPECT_EQ(protocol("http", "tcp"), Protocol::kTcp);
  EXPECT_EQ(protocol("x", "kubernetes.io/h2c"), Protocol::kHttp2);
  EXPECT_EQ(protocol("x", "kubernetes.io/ws"), Protocol::kHttp);
  EXPECT_EQ(protocol("x", "kubernetes.io/wss"), Protocol::kTls);
}

TEST(PortProtocol, IsUndeclaredWhereNothingIsKnown) {
  EXPECT_FALSE(state::protocol_of(a_port("web", 8080)).declared);
  EXPECT_TRUE(state::protocol_of(a_port("tcp-web", 8080)).declared);
  objects::ServicePort dns = a_port("http", 53);
  dns.protocol = objects::TransportProtocol::kUdp;
  EXPECT_EQ(state::protocol_of(dns).protocol, Protocol::kUdp);
}

TEST(Services, HaveOneClusterAPortAndOneASubsetAndPort) {
  World world;
  world.put(a_service("dev", "web", "10.96.0.1", {a_port("http", 80, 8080), a_port("grpc", 81)}))
      .put(a_rule("dev", "web", "web", {{"v1", {{"version", "v1"}}}}));
  const model::Snapshot& now = world.look();
  std::vector<std::string> names;
  for (const model::Cluster& cluster : now.clusters) names.push_back(cluster.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "outbound|80||web.dev.svc.cluster.local", "outbound|81||web.dev.svc.cluster.local",
                "outbound|80|v1|web.dev.svc.cluster.local", "outbound|81|v1|web.dev.svc.cluster.local"}));
  const model::Service* web = world.service("dev", "web");
  ASSERT_EQ(web->ports.size(), 2u);
  EXPECT_EQ(web->ports[1].cluster, 1u);
  EXPECT_EQ(web->ports[1].protocol, Protocol::kGrpc);
  EXPECT_EQ(web->ports[0].route_table, model::kNone);
}

TEST(Services, CarryAffinityLocalityAndHeadlessness) {
  auto sticky = a_service("dev", "sticky", "10.96.0.1", {a_port("tcp", 80)});
  sticky->client_ip_affinity = true;
  sticky->affinity_seconds = 60;
  sticky->internal_traffic_policy = objects::Service::TrafficPolicy::kLocal;
  World world;
  world.put(sticky).put(a_service("dev", "headless", "None", {a_port("tcp", 80)}));
  world.look();
  EXPECT_EQ(world.service("dev", "sticky")->affinity_seconds, 60u);
  EXPECT_TRUE(world.service("dev", "sticky")->local_endpoints_only);
  EXPECT_EQ(world.service("dev", "headless")->affinity_seconds, 0u);
  EXPECT_TRUE(world.service("dev", "headless")->headless);
  EXPECT_TRUE(world.service("dev", "headless")->addresses.empty());
}

TEST(Services, LeaveExternalNamesAndSctpOut) {
  auto alias = a_service("dev", "alias", "", {a_port("http", 80)});
  alias->type = objects::Service::Type::kExternalName;
  auto mixed = a_service("dev", "mixed", "10.96.0.1", {a_port("tcp", 80), a_port("tcp", 81)});
  mixed->ports[0].protocol = objects::TransportProtocol::kSctp;
  World world;
  world.put(alias).put(mixed);
  world.look();
  EXPECT_EQ(world.service("dev", "alias"), nullptr);
  ASSERT_EQ(world.service("dev", "mixed")->ports.size(), 1u);
  EXPECT_EQ(world.service("dev", "mixed")->ports[0].port, 81);
}

class Endpoints : public testing::Test {
 protected:
  Endpoints() {
    world_.put(a_service("dev", "web", "10.96.0.1", {a_port("http", 80), a_port("admin", 81)}))
        .put(a_pod("dev", "a", {.ip = "10.1.1.5", .labels = {{"version", "v1"}}}))
        .put(a_pod("dev", "b", {.ip = "10.1.1.6", .labels = {{"version", "v2"}}}));
  }
  std::vector<std::string> of(const std::string& name) {
    world_.look();
    std::vector<std::string> out;
    for (const model::Endpoint& endpoint : world_.cluster(name)->endpoints)
      out.push_back(endpoint.address.to_string());
    return out;
  }
  std::vector<std::string> http() { return of("outbound|80||web.dev.svc.cluster.local"); }
  World world_;
};

using Addresses = std::vector<std::string>;

TEST_F(Endpoints, TakeTheNumberThatTheSliceGivesForThePortsName) {
  world_.put(a_slice("dev", "s", "web", {{"http", 8080}, {"admin", 9090}}, {an_endpoint("10.1.1.5")}));
  EXPECT_EQ(http(), Addresses{"10.1.1.5:8080"});
  EXPECT_EQ(of("outbound|81||web.dev.svc.cluster.local"), Addresses{"10.1.1.5:9090"});
}

TEST_F(Endpoints, OfSeveralSlicesAddUpSortedAndWithoutDoubles) {
  world_
      .put(a_slice("dev", "s1", "web", {{"http", 8080}}, {an_endpoint("10.1.1.6"), an_endpoint("10.1.1.5")}))
      .put(a_slice("dev", "s2", "web", {{"http", 8080}}, {an_endpoint("10.1.1.5"), an_endpoint("10.1.1.7")}));
  EXPECT_EQ(http(), (Addresses{"10.1.1.5:8080", "10.1.1.6:8080", "10.1.1.7:8080"}));
}

TEST_F(Endpoints, LeaveOutWhatIsNotReadyOrTerminating) {
  auto down = an_endpoint("10.1.1.5");
  down.ready = false;
  auto leaving = an_endpoint("10.1.1.6");
  leaving.terminating = true;
  world_.put(a_slice("dev", "s", "web", {{"http", 8080}}, {down, leaving, an_endpoint("10.1.1.7")}));
  EXPECT_EQ(http(), Addresses{"10.1.1.7:8080"});
}

TEST_F(Endpoints, NotReadyCountIfTheServicePublishesThemButTerminatingNever) {
  auto service = a_service("dev", "web", "10.96.0.1", {a_port("http", 80)});
  service->publish_not_ready_addresses = true;
  auto down = an_endpoint("10.1.1.5");
  down.ready = false;
  auto leaving = an_endpoint("10.1.1.6");
  leaving.terminating = true;
  world_.put(service).put(a_slice("dev", "s", "web", {{"http", 8080}}, {down, leaving}));
  EXPECT_EQ(http(), Addresses{"10.1.1.5:8080"});
}

TEST_F(Endpoints, KnowTheirPodByReferenceAndElseByAddress) {
  world_.put(
      a_slice("dev", "s", "web", {{"http", 8080}},
              {an_endpoint("10.1.1.5"), an_endpoint("172.16.0.9", "dev", "b"), an_endpoint("10.9.9.9")}));
  const model::Snapshot& now = world_.look();
  const auto& endpoints = world_.cluster("outbound|80||web.dev.svc.cluster.local")->endpoints;
  ASSERT_EQ(endpoints.size(), 3u);
  EXPECT_EQ(now.workloads[endpoints[0].workload].name, "a");
  EXPECT_EQ(endpoints[1].workload, model::kNone) << "10.9.9.9 is nobody's";
  EXPECT_EQ(now.workloads[endpoints[2].workload].name, "b");
}

TEST_F(Endpoints, OnTheNodesAddressBelongToNoPodUnlessTheSliceNamesIt) {
  world_.put(a_pod("dev", "agent", {.ip = "192.168.0.1", .host_network = true}))
      .put(a_slice("dev", "s", "web", {{"http", 8080}, {"admin", 9090}}, {an_endpoint("192.168.0.1")}));
  world_.look();
  const std::string name = "outbound|80||web.dev.svc.cluster.local";
  EXPECT_EQ(world_.cluster(name)->endpoints.at(0).workload, model::kNone);
  world_.put(a_slice("dev", "s", "web", {{"http", 8080}}, {an_endpoint("192.168.0.1", "dev", "agent")}));
  const model::Snapshot& now = world_.look();
  EXPECT_EQ(now.workloads[world_.cluster(name)->endpoints.at(0).workload].name, "agent");
}

TEST_F(Endpoints, OfASubsetCarryItsLabels) {
  world_.put(a_rule("dev", "web", "web", {{"v1", {{"version", "v1"}}}, {"any", {}}}))
      .put(a_slice("dev", "s", "web", {{"http", 8080}},
                   {an_endpoint("10.1.1.5"), an_endpoint("10.1.1.6"), an_endpoint("10.9.9.9")}));
  EXPECT_EQ(of("outbound|80|v1|web.dev.svc.cluster.local"), Addresses{"10.1.1.5:8080"});
  EXPECT_EQ(of("outbound|80|any|web.dev.svc.cluster.local").size(), 3u);
}

TEST_F(Endpoints, MoveBetweenSubsetsWithTheLabelsOfThePod) {
  world_.put(a_rule("dev", "web", "web", {{"v1", {{"version", "v1"}}}}))
      .put(a_slice("dev", "s", "web", {{"http", 8080}}, {an_endpoint("10.1.1.5")}));
  EXPECT_EQ(of("outbound|80|v1|web.dev.svc.cluster.local").size(), 1u);
  world_.put(a_pod("dev", "a", {.ip = "10.1.1.5", .labels = {{"version", "v9"}}}));
  EXPECT_TRUE(of("outbound|80|v1|web.dev.svc.cluster.local").empty());
}

TEST_F(Endpoints, LeaveWithTheirSliceAndFollowItToAnotherService) {
  world_.put(a_service("dev", "other", "10.96.0.2", {a_port("http", 80)}))
      .put(a_slice("dev", "s", "web", {{"http", 8080}}, {an_endpoint("10.1.1.5")}));
  EXPECT_EQ(http().size(), 1u);
  world_.put(a_slice("dev", "s", "other", {{"http", 8080}}, {an_endpoint("10.1.1.5")}));
  EXPECT_TRUE(http().empty());
  EXPECT_EQ(of("outbound|80||other.dev.svc.cluster.local").size(), 1u);
  world_.drop(objects::Kind::kEndpointSlice, "dev", "s");
  EXPECT_TRUE(of("outbound|80||other.dev.svc.cluster.local").empty());
}

TEST_F(Endpoints, KnownBeforeTheirServiceAreUsedWhenItComes) {
  world_.put(a_slice("dev", "s", "late", {{"http", 8080}}, {an_endpoint("10.1.1.5")}));
  world_.look();
  world_.put(a_service("dev", "late", "10.96.0.3", {a_port("http", 80)}));
  EXPECT_EQ(of("outbound|80||late.dev.svc.cluster.local").size(), 1u);
}

}  // namespace
}  // namespace weft::test
