// The example application, as far as configuration decides its behaviour.
#include <gtest/gtest.h>

#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

const std::string kBothHalves =
    "50 outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 outbound|8888|v2|httpgo.dev.svc.cluster.local";

class HttpgoGateway : public testing::Test {
 protected:
  HttpgoGateway() {
    for (const auto& object : app_.all()) world_.put(object);
  }
  std::string ask(const std::string& path, const std::string& host = "localhost") {
    return world_.gateway(80, {.host = host, .path = path});
  }
  Httpgo app_;
  World world_{gateway_options()};
};

TEST_F(HttpgoGateway, SplitsTheExactPathInHalves) {
  EXPECT_EQ(ask("/httpgo"), kBothHalves);
}

TEST_F(HttpgoGateway, AnswersNothingButTheExactPath) {
  for (const char* path :
       {"/httpgo/", "/httpgo/payload", "/httpgo2", "/", "/healthz", "/HTTPGO", "//httpgo"}) {
    EXPECT_EQ(ask(path), "404") << path;
  }
}

TEST_F(HttpgoGateway, TakesAnyHostAndAnyMethod) {
  for (const char* host : {"httpgo.example.com", "192.168.1.1", "x"})
    EXPECT_EQ(ask("/httpgo", host), kBothHalves) << host;
  EXPECT_EQ(world_.gateway(80, {.host = "x", .path = "/httpgo", .method = "POST"}), kBothHalves);
}

TEST_F(HttpgoGateway, OpensServicePort80OnThePodsTargetPortAndNothingElse) {
  const model::Snapshot& now = world_.look();
  ASSERT_EQ(now.gateway_listeners.size(), 1u);
  EXPECT_EQ(now.gateway_listeners[0], (model::GatewayListener{80, 8080, model::Protocol::kHttp, 0}));
  EXPECT_EQ(now.route_tables[0].name, "http.80");
  ASSERT_NE(now.self, model::kNone);
  EXPECT_EQ(now.workloads[now.self].name, "gw");
  EXPECT_EQ(world_.gateway(443, {.host = "x"}), "closed");
}

TEST_F(HttpgoGateway, SpeaksHttp1ToThePods) {
  world_.look();
  const model::Cluster* v1 = world_.cluster("outbound|8888|v1|httpgo.dev.svc.cluster.local");
  ASSERT_NE(v1, nullptr);
  EXPECT_EQ(v1->protocol, model::Protocol::kHttp);
  ASSERT_EQ(v1->endpoints.size(), 1u);
  EXPECT_EQ(v1->endpoints[0].address.to_string(), "10.1.1.11:8888");
}

TEST_F(HttpgoGateway, ServesNoPortWhenTheGatewayIsDeleted) {
  world_.drop(objects::Kind::kGateway, "dev", "httpgo-gateway");
  EXPECT_EQ(ask("/httpgo"), "closed");
}

TEST_F(HttpgoGateway, Answers404WithAGatewayOnly) {
  world_.drop(objects::Kind::kVirtualService, "dev", "httpgo");
  EXPECT_EQ(ask("/httpgo"), "404");
  EXPECT_TRUE(world_.look().route_tables[0].hosts.empty());
}

TEST_F(HttpgoGateway, LacksBothClustersWithoutADestinationRule) {
  world_.drop(objects::Kind::kDestinationRule, "dev", "httpgo");
  EXPECT_EQ(ask("/httpgo"),
            "50 NC outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 NC "
            "outbound|8888|v2|httpgo.dev.svc.cluster.local");
}

TEST_F(HttpgoGateway, KeepsTheShareOfASubsetWithoutAReadyPod) {
  world_.put(Httpgo::endpoints({an_endpoint("10.1.1.11", "dev", "httpgo-v1-5d8f7c9b4-aaaaa")}));
  EXPECT_EQ(ask("/httpgo"),
            "50 outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 UH "
            "outbound|8888|v2|httpgo.dev.svc.cluster.local");
}

TEST_F(HttpgoGateway, LacksTheClusterOfASubsetRemovedFromTheRule) {
  world_.put(a_rule("dev", "httpgo", "httpgo", {{"v1", {{"version", "v1"}}}}));
  EXPECT_EQ(ask("/httpgo"),
            "50 outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 NC "
            "outbound|8888|v2|httpgo.dev.svc.cluster.local");
}

TEST_F(HttpgoGateway, LacksBothClustersWhenTheServiceIsDeleted) {
  world_.drop(objects::Kind::kService, "dev", "httpgo");
  EXPECT_EQ(ask("/httpgo"),
            "50 NC outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 NC "
            "outbound|8888|v2|httpgo.dev.svc.cluster.local");
}

TEST_F(HttpgoGateway, IsRepairedWithoutATouchOfTheVirtualService) {
  world_.drop(objects::Kind::kDestinationRule, "dev", "httpgo")
      .drop(objects::Kind::kService, "dev", "httpgo");
  EXPECT_TRUE(ask("/httpgo").starts_with("50 NC"));
  world_.put(app_.service).put(app_.rule);
  EXPECT_EQ(ask("/httpgo"), kBothHalves);
}

TEST_F(HttpgoGateway, LeavesCallersInTheMeshUntouched) {
  World node{node_options()};
  for (const auto& object : app_.all()) node.put(object);
  EXPECT_EQ(node.mesh("dev", "httpgo", 8888, {.host = "httpgo.dev", .path = "/payload"}), "direct");
  EXPECT_TRUE(node.look().gateway_listeners.empty());
  EXPECT_EQ(node.cluster("outbound|8888||httpgo.dev.svc.cluster.local")->endpoints.size(), 2u);
}

TEST_F(HttpgoGateway, MergesASecondGatewayOnPort80) {
  world_.put(a_namespace("das"))
      .put(a_service("das", "das", "10.96.0.30", {a_port("http", 8217)}))
      .put(a_gateway("das", "das-gateway", {{"istio", "ingressgateway"}}, {a_server(80, "HTTP", {"*"})}))
      .put(a_virtual_service("das", "das-vs", {"*"}, {a_route({on(exact("/das/"))}, {to("das", 8217)})},
                             {"das-gateway"}));
  EXPECT_EQ(ask("/httpgo"), kBothHalves);
  EXPECT_EQ(ask("/das/"), "UH outbound|8217||das.das.svc.cluster.local");
  EXPECT_EQ(ask("/das"), "404");
  EXPECT_EQ(world_.look().gateway_listeners.size(), 1u);
}

TEST_F(HttpgoGateway, TellsThatARuleInAnotherNamespaceIsNotConsulted) {
  world_.put(a_service("das", "das", "10.96.0.30", {a_port("http", 8217)}))
      .put(a_rule("default", "das-dr", "das.das.svc.cluster.local", {{"all", {}}}));
  world_.look();
  EXPECT_TRUE(
      world_.said("DestinationRule", "default", "das-dr", "Applied").starts_with("False NotConsulted: "));
  EXPECT_NE(world_.said("DestinationRule", "default", "das-dr", "Applied").find("istio-system"),
            std::string::npos);
  world_.drop(objects::Kind::kDestinationRule, "default", "das-dr");
  for (const char* ns : {"das", "istio-system"}) {
    world_.put(a_rule(ns, "das-dr", "das.das.svc.cluster.local", {{"all", {}}}));
    world_.look();
    EXPECT_TRUE(world_.said("DestinationRule", ns, "das-dr", "Applied").starts_with("True Applied")) << ns;
    world_.drop(objects::Kind::kDestinationRule, ns, "das-dr");
  }
}

TEST_F(HttpgoGateway, NamesEachMissingSubsetInTheStatusAndForgetsItAfterRepair) {
  world_.drop(objects::Kind::kDestinationRule, "dev", "httpgo");
  world_.look();
  const std::string said = world_.said("VirtualService", "dev", "httpgo", "ResolvedRefs");
  EXPECT_TRUE(said.starts_with("False NotFound: ")) << said;
  EXPECT_NE(said.find("subset \"v1\""), std::string::npos) << said;
  EXPECT_NE(said.find("subset \"v2\""), std::string::npos) << said;
  world_.put(app_.rule);
  world_.look();
  EXPECT_TRUE(world_.said("VirtualService", "dev", "httpgo", "ResolvedRefs").starts_with("True"));
}

}  // namespace
}  // namespace weft::test
