#include "agent/state/gateways.h"

#include <gtest/gtest.h>

#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

class Gateways : public testing::Test {
 protected:
  Gateways() {
    world_.put(app_.gateway_pod)
        .put(app_.gateway_service)
        .put(a_service("dev", "web", "10.96.0.1", {a_port("http", 80)}))
        .put(a_service("dev", "api", "10.96.0.3", {a_port("http", 80)}));
  }
  void gateway(const std::string& ns, const std::string& name, std::vector<objects::GatewayServer> servers,
               int64_t age = 0, Labels selector = {{"istio", "ingressgateway"}}) {
    world_.put(aged(a_gateway(ns, name, std::move(selector), std::move(servers)), age));
  }
  void rules(const std::string& ns, const std::string& name, std::vector<std::string> hosts,
             std::vector<std::string> gateways, std::vector<objects::HttpRoute> http, int64_t age = 0) {
    world_.put(
        aged(a_virtual_service(ns, name, std::move(hosts), std::move(http), std::move(gateways)), age));
  }
  std::string ask(const std::string& host, const std::string& path = "/", uint16_t port = 80) {
    return world_.gateway(port, {.host = host, .path = path});
  }
  static std::string web() { return "UH outbound|80||web.dev.svc.cluster.local"; }
  static std::string api() { return "UH outbound|80||api.dev.svc.cluster.local"; }
  Httpgo app_;
  World world_{gateway_options()};
};

TEST_F(Gateways, SelectPodsAcrossNamespacesByAllTheirLabels) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*"})}, 0, {{"istio", "ingressgateway"}, {"app", "other"}});
  EXPECT_EQ(ask("x"), "closed");
  gateway("dev", "g", {a_server(80, "HTTP", {"*"})}, 0, {});
  EXPECT_EQ(ask("x"), "404");
}

TEST_F(Gateways, AreNotServedBeforeTheirPodIsKnown) {
  World fresh{gateway_options()};
  fresh.put(app_.gateway).put(app_.gateway_service);
  EXPECT_EQ(fresh.gateway(80, {.host = "x"}), "closed");
  EXPECT_EQ(fresh.look().self, model::kNone);
  fresh.put(app_.gateway_pod);
  EXPECT_EQ(fresh.gateway(80, {.host = "x"}), "404");
  EXPECT_NE(fresh.look().self, model::kNone);
}

TEST_F(Gateways, FindThePodPortThroughTheServiceByNumberAndByName) {
  auto pod = std::make_shared<objects::Pod>(*objects::as<objects::Pod>(app_.gateway_pod));
  objects::Container container;
  container.ports.push_back({.name = "web", .port = 9090});
  pod->spec.containers.push_back(container);
  pod->meta.uid = "another";
  auto service = std::make_shared<objects::Service>(*objects::as<objects::Service>(app_.gateway_service));
  objects::ServicePort by_name = a_port("http-alt", 81);
  by_name.target_port = {.name = "web"};
  service->ports.push_back(by_name);
  world_.put(pod).put(service);
  gateway("dev", "g",
          {a_server(80, "HTTP", {"*"}), a_server(81, "HTTP2", {"*"}), a_server(9999, "GRPC", {"*"})});
  const auto& listeners = world_.look().gateway_listeners;
  ASSERT_EQ(listeners.size(), 3u);
  EXPECT_EQ(listeners[0], (model::GatewayListener{80, 8080, model::Protocol::kHttp, 0}));
  EXPECT_EQ(listeners[1], (model::GatewayListener{81, 9090, model::Protocol::kHttp2, 1}));
  EXPECT_EQ(listeners[2], (model::GatewayListener{9999, 9999, model::Protocol::kGrpc, 2}))
      << "no Service speaks of 9999";
}

TEST_F(Gateways, ServeNeitherTlsNorRawTcpYetAndSayWhichServer) {
  auto tls = a_server(443, "HTTPS", {"*"});
  tls.tls_mode = "SIMPLE";
  auto redirect = a_server(8081, "HTTP", {"*"});
  redirect.https_redirect = true;
  gateway("dev", "g", {a_server(80, "HTTP", {"*"}), tls, a_server(9000, "TCP", {"*"}), redirect});
  EXPECT_EQ(ask("x"), "404");
  EXPECT_EQ(ask("x", "/", 443), "closed");
  EXPECT_EQ(ask("x", "/", 9000), "closed");
  EXPECT_EQ(ask("x", "/", 8081), "closed");
  EXPECT_EQ(world_.said("Gateway", "dev", "g", "Programmed"), "True Programmed: port 80, pod port 8080");
  const std::string said = world_.said("Gateway", "dev", "g", "PartiallyInvalid");
  for (const char* part :
       {"servers[1] (port 443)", "servers[2] (port 9000)", "servers[3] (port 8081)", "httpsRedirect"}) {
    EXPECT_NE(said.find(part), std::string::npos) << part << " in " << said;
  }
}

TEST_F(Gateways, WithNothingToServeAreNotProgrammed) {
  gateway("dev", "g", {a_server(443, "HTTPS", {"*"})});
  world_.look();
  EXPECT_TRUE(world_.said("Gateway", "dev", "g", "Programmed")
                  .starts_with("False UnsupportedField: no port is open: servers[0] (port 443)"));
}

TEST_F(Gateways, SayWhichPortCouldNotBeOpenedAndWhy) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*"}), a_server(9999, "HTTP", {"*"})});
  world_.look();
  world_.state().set_closed_ports({{9999, "bind 10.1.0.9:9999: Address already in use"}});
  world_.look();
  EXPECT_EQ(world_.said("Gateway", "dev", "g", "Programmed"), "True Programmed: port 80, pod port 8080");
  EXPECT_EQ(world_.said("Gateway", "dev", "g", "PartiallyProgrammed"),
            "True PortUnavailable: port 9999, pod port 9999: bind 10.1.0.9:9999: Address already in use");
  world_.state().set_closed_ports({{8080, "in use"}, {9999, "in use"}});
  world_.look();
  EXPECT_EQ(world_.said("Gateway", "dev", "g", "Programmed"),
            "False PortUnavailable: port 80, pod port 8080: in use; port 9999, pod port 9999: in use");
  world_.state().set_closed_ports({});
  world_.look();
  EXPECT_TRUE(world_.said("Gateway", "dev", "g", "Programmed").starts_with("True"));
}

TEST_F(Gateways, OnOnePortMergeAndTheirRulesAddUpInOrderOfAge) {
  gateway("dev", "one", {a_server(80, "HTTP", {"*"})}, 1);
  gateway("ops", "two", {a_server(80, "HTTP", {"*"})}, 2);
  rules("dev", "new", {"*"}, {"one"}, {a_route({on(prefix("/a"))}, {to("web")})}, 9);
  rules("dev", "old", {"*"}, {"ops/two"},
        {a_route({}, {to("api")}), a_route({on(prefix("/never"))}, {to("web")})}, 1);
  EXPECT_EQ(world_.look().gateway_listeners.size(), 1u);
  EXPECT_EQ(ask("x", "/a"), web());
  EXPECT_EQ(ask("x", "/b"), api());
  EXPECT_NE(world_.said("VirtualService", "dev", "old", "Shadowed").find("http[1]"), std::string::npos);
}

TEST_F(Gateways, AVirtualServiceBoundToTwoOfThemHasItsSayOnce) {
  gateway("dev", "one", {a_server(80, "HTTP", {"*"})});
  gateway("dev", "two", {a_server(80, "HTTP", {"*"})});
  rules("dev", "vs", {"*"}, {"one", "two"}, {a_route({on(prefix("/a"))}, {to("web")})});
  EXPECT_EQ(world_.look().route_tables[0].hosts[0].routes.size(), 1u);
  EXPECT_TRUE(world_.said("VirtualService", "dev", "vs", "Shadowed").empty());
}

TEST_F(Gateways, HostsAreTheNarrowerOfServerAndVirtualService) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*.shop.com", "api.bank.com"})});
  rules("dev", "shop", {"www.shop.com", "www.other.com"}, {"g"}, {a_route({}, {to("web")})});
  rules("dev", "bank", {"*.bank.com"}, {"g"}, {a_route({}, {to("api")})});
  EXPECT_EQ(ask("www.shop.com"), web());
  EXPECT_EQ(ask("www.other.com"), "404");
  EXPECT_EQ(ask("api.bank.com"), api());
  EXPECT_EQ(ask("www.bank.com"), "404");
}

TEST_F(Gateways, AnExactHostIsNotMixedWithTheRulesOfAWildcard) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*"})});
  rules("dev", "all", {"*"}, {"g"}, {a_route({}, {to("web")})});
  rules("dev", "one", {"a.com"}, {"g"}, {a_route({on(exact("/x"))}, {to("api")})});
  EXPECT_EQ(ask("a.com", "/x"), api());
  EXPECT_EQ(ask("a.com", "/y"), "404");
  EXPECT_EQ(ask("b.com", "/y"), web());
}

TEST_F(Gateways, AServersHostMayAdmitOnlySomeNamespaces) {
  gateway("ops", "g", {a_server(80, "HTTP", {"dev/a.com", "./b.com", "*/c.com"})});
  for (const char* host : {"a.com", "b.com", "c.com"}) {
    rules("dev", std::string("dev-") + host[0], {host}, {"ops/g"}, {a_route({}, {to("web")})});
    EXPECT_EQ(ask(host), host[0] == 'b' ? "404" : web()) << host;
  }
  world_.look();
  EXPECT_NE(world_.said("VirtualService", "dev", "dev-b", "PartiallyInvalid").find("none of its hosts"),
            std::string::npos);
}

TEST_F(Gateways, ARuleMustBeExportedToTheGatewayPodsNamespace) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*"})});
  auto hidden = a_virtual_service("dev", "vs", {"*"}, {a_route({}, {to("web")})}, {"g"});
  hidden->export_to = {"."};
  world_.put(hidden);
  EXPECT_EQ(ask("x"), "404");
  auto shown = std::make_shared<objects::VirtualService>(*hidden);
  shown->export_to = {"istio-system"};
  world_.put(shown);
  EXPECT_EQ(ask("x"), web());
}

TEST_F(Gateways, MatchesOnPortGatewayAndSourceAreDecidedByConfiguration) {
  gateway("dev", "g", {a_server(80, "HTTP", {"*"})});
  auto port = on(prefix("/port"));
  port.port = 443;
  auto other = on(prefix("/other"));
  other.gateways = {"mesh"};
  auto mine = on(prefix("/mine"));
  mine.source_labels = {{"istio", "ingressgateway"}};
  auto not_mine = on(prefix("/not-mine"));
  not_mine.source_labels = {{"app", "someone"}};
  rules("dev", "vs", {"*"}, {"g", "mesh-not"}, {a_route({port, other, mine, not_mine}, {to("web")})});
  EXPECT_EQ(ask("x", "/port"), "404");
  EXPECT_EQ(ask("x", "/other"), "404");
  EXPECT_EQ(ask("x", "/mine"), web());
  EXPECT_EQ(ask("x", "/not-mine"), "404");
  EXPECT_TRUE(world_.look().route_tables[0].hosts[0].routes[0].matches[0].source_labels.empty());
}

TEST_F(Gateways, TwoServicePortsOnOnePodPortCannotBothBeServed) {
  world_.put(a_service("istio-system", "istio-ingressgateway", "10.96.0.2",
                       {a_port("http2", 80, 8080), a_port("alt", 81, 8080)}, {{"istio", "ingressgateway"}}));
  gateway("dev", "g", {a_server(80, "HTTP", {"*"}), a_server(81, "HTTP", {"*"})});
  EXPECT_EQ(world_.look().gateway_listeners.size(), 1u);
  EXPECT_NE(
      world_.said("Gateway", "dev", "g", "PartiallyInvalid").find("port 81, pod port 8080 is not served"),
      std::string::npos);
}

TEST(GatewaysOnANode, AGatewayThatSelectsNoPodSaysSo) {
  Httpgo app;
  World node;
  node.put(app.gateway);
  node.look();
  EXPECT_TRUE(node.said("Gateway", "dev", "httpgo-gateway", "Accepted")
                  .starts_with("False NoMatchingPods: no pod in any namespace carries istio=ingressgateway"));
  node.put(app.gateway_pod);
  node.look();
  EXPECT_TRUE(node.said("Gateway", "dev", "httpgo-gateway", "Accepted").starts_with("True"));
}

TEST(GatewaysOnANode, AVirtualServiceForAGatewayThatDoesNotExistSaysSo) {
  Httpgo app;
  World node;
  node.put(app.virtual_service);
  node.look();
  EXPECT_EQ(node.said("VirtualService", "dev", "httpgo", "ResolvedRefs"),
            "False NotFound: no Gateway dev/httpgo-gateway; create it or correct spec.gateways");
  node.put(app.gateway);
  node.look();
  EXPECT_TRUE(node.said("VirtualService", "dev", "httpgo", "ResolvedRefs").starts_with("True"));
}

}  // namespace
}  // namespace weft::test
