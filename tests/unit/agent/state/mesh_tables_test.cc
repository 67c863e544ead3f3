#include <gtest/gtest.h>

#include "tests/support/state_world.h"

namespace weft::test {
namespace {

constexpr const char* kWeb = "outbound|80||web.dev.svc.cluster.local";
constexpr const char* kApi = "outbound|80||api.dev.svc.cluster.local";

class Mesh : public testing::Test {
 protected:
  Mesh() {
    add_service("dev", "web", "10.96.0.1", "10.1.1.5");
    add_service("dev", "api", "10.96.0.2", "10.1.1.6");
  }
  void add_service(const std::string& ns, const std::string& name, const std::string& vip,
                   const std::string& pod) {
    world_.put(a_service(ns, name, vip, {a_port("http", 80)}))
        .put(a_slice(ns, name + "-1", name, {{"http", 8080}}, {an_endpoint(pod)}));
  }
  std::string ask(Request request) {
    if (request.host.empty()) request.host = "web.dev.svc.cluster.local";
    return world_.mesh("dev", "web", 80, request);
  }
  void put(const std::string& name, std::vector<objects::HttpRoute> http,
           std::vector<std::string> hosts = {"web"}, std::vector<std::string> export_to = {}, int64_t age = 0,
           const std::string& ns = "dev") {
    auto made = aged(a_virtual_service(ns, name, std::move(hosts), std::move(http)), age);
    made->export_to = std::move(export_to);
    world_.put(made);
  }
  World world_;
};

TEST_F(Mesh, AServiceThatNoVirtualServiceNamesStaysOnTheDirectPath) {
  EXPECT_EQ(ask({}), "direct");
  put("gw-only", {a_route({}, {to("api")})}, {"web"});
  world_.put(a_virtual_service("dev", "gw-only", {"web"}, {a_route({}, {to("api")})}, {"some-gateway"}));
  EXPECT_EQ(ask({}), "direct");
}

TEST_F(Mesh, AVirtualServiceRoutesTheServiceItNamesAndNoOther) {
  put("web", {a_route({on(prefix("/api"))}, {to("api")}), a_route({}, {to("web")})});
  EXPECT_EQ(ask({.path = "/api/x"}), kApi);
  EXPECT_EQ(ask({.path = "/"}), kWeb);
  EXPECT_EQ(world_.mesh("dev", "api", 80, {.host = "api"}), "direct");
}

TEST_F(Mesh, ACoveredServiceAnswers404WhereNoRuleMatches) {
  put("web", {a_route({on(exact("/only"))}, {to("api")})});
  EXPECT_EQ(ask({.path = "/other"}), "404");
}

TEST_F(Mesh, EveryNameOfTheServiceMeansIt) {
  put("web", {a_route({}, {to("api")})});
  for (const char* host : {"web.dev.svc.cluster.local", "web.dev.svc.cluster.local.", "web.dev.svc",
                           "web.dev", "web", "10.96.0.1"}) {
    EXPECT_EQ(ask({.host = host}), kApi) << host;
  }
}

TEST_F(Mesh, AnUnknownHostFallsBackToTheServiceThatWasCalled) {
  put("web", {a_route({}, {to("api")})});
  EXPECT_EQ(ask({.host = "www.example.com"}), std::string("fallback ") + kWeb);
}

TEST_F(Mesh, AnIpv6ClusterAddressIsAHostInBrackets) {
  auto service = a_service("dev", "web", "10.96.0.1", {a_port("http", 80)});
  service->cluster_ips.push_back(ip("fd00::1"));
  world_.put(service);
  put("web", {a_route({}, {to("api")})});
  EXPECT_EQ(ask({.host = "[fd00::1]"}), kApi);
}

TEST_F(Mesh, TheMostSpecificHostDecides) {
  put("wide", {a_route({}, {to("api")})}, {"*.dev.svc.cluster.local"});
  EXPECT_EQ(ask({}), kApi);
  put("exact", {a_route({}, {to("web")})}, {"web"});
  EXPECT_EQ(ask({}), kWeb);
  EXPECT_EQ(world_.mesh("dev", "api", 80, {.host = "api"}), kApi);
}

TEST_F(Mesh, RulesForOneHostAddUpOldestFirstAndThoseThatTakeEverythingGoLast) {
  put("old", {a_route({on(prefix("/a"))}, {to("api")}), a_route({}, {to("web")})}, {"web"}, {}, 1);
  put("new", {a_route({on(prefix("/b"))}, {to("api")}), a_route({on(prefix("/a"))}, {to("web")})}, {"web"},
      {}, 2);
  EXPECT_EQ(ask({.path = "/b"}), kApi);
  EXPECT_EQ(ask({.path = "/a"}), kApi);
  EXPECT_EQ(ask({.path = "/c"}), kWeb);
  const std::string said = world_.said("VirtualService", "dev", "new", "Merged");
  EXPECT_NE(said.find("dev/old, then dev/new"), std::string::npos) << said;
}

TEST_F(Mesh, EqualAgeIsOrderedByName) {
  put("b", {a_route({on(prefix("/x"))}, {to("web")})});
  put("a", {a_route({on(prefix("/x"))}, {to("api")})});
  EXPECT_EQ(ask({.path = "/x"}), kApi);
}

TEST_F(Mesh, PrivateRulesGoBeforeExportedAndThoseBeforePublicOnes) {
  put("public", {a_route({on(prefix("/x"))}, {to("web")})}, {"web.dev.svc.cluster.local"}, {}, 1, "ops");
  put("named", {a_route({on(prefix("/x"))}, {to("api", 80)})}, {"web.dev.svc.cluster.local"}, {"client"}, 2,
      "dev");
  EXPECT_EQ(ask({.path = "/x", .source_ns = "client"}), kApi);
  put("private", {a_route({on(prefix("/x"))}, {to("web.dev.svc.cluster.local", 80)})},
      {"web.dev.svc.cluster.local"}, {"."}, 3, "client");
  EXPECT_EQ(ask({.path = "/x", .source_ns = "client"}), kWeb);
}

TEST_F(Mesh, ARuleExportedToOneNamespaceConcernsItsCallersOnly) {
  put("web", {a_route({on(prefix("/x"))}, {to("api")})}, {"web"}, {"friends"});
  EXPECT_EQ(ask({.path = "/x", .source_ns = "friends"}), kApi);
  EXPECT_EQ(ask({.path = "/y", .source_ns = "friends"}), "404");
  EXPECT_EQ(ask({.path = "/x", .source_ns = "strangers"}), kWeb);
  EXPECT_EQ(ask({.path = "/x", .source_ns = "dev"}), kWeb);
}

TEST_F(Mesh, ASourceNamespaceConcernsItsCallersOnly) {
  auto match = on(prefix("/x"));
  match.source_namespace = "friends";
  put("web", {a_route({match}, {to("api")})});
  EXPECT_EQ(ask({.path = "/x", .source_ns = "friends"}), kApi);
  EXPECT_EQ(ask({.path = "/y", .source_ns = "friends"}), "404");
  EXPECT_EQ(ask({.path = "/x", .source_ns = "others"}), kWeb);
}

TEST_F(Mesh, SourceLabelsConcernCallersWithThemOnly) {
  auto match = on(prefix("/x"));
  match.source_labels = {{"app", "canary"}};
  put("web", {a_route({match}, {to("api")})});
  EXPECT_EQ(ask({.path = "/x", .source_labels = {{"app", "canary"}, {"version", "1"}}}), kApi);
  EXPECT_EQ(ask({.path = "/y", .source_labels = {{"app", "canary"}}}), "404");
  EXPECT_EQ(ask({.path = "/x", .source_labels = {{"app", "web"}}}), kWeb);
}

TEST_F(Mesh, WithARuleForEverybodySourceLabelsOnlyRefineIt) {
  objects::HttpMatch canary;
  canary.source_labels = {{"app", "canary"}};
  put("web", {a_route({canary}, {to("api")}), a_route({on(exact("/open"))}, {to("web")})});
  EXPECT_EQ(ask({.path = "/open", .source_labels = {{"app", "canary"}}}), kApi);
  EXPECT_EQ(ask({.path = "/open"}), kWeb);
  EXPECT_EQ(ask({.path = "/else"}), "404");
}

TEST_F(Mesh, AMatchOnPortIsDecidedByConfiguration) {
  world_.put(a_service("dev", "web", "10.96.0.1", {a_port("http", 80), a_port("http-alt", 81)}));
  auto match = on(prefix("/"));
  match.port = 81;
  put("web", {a_route({match}, {to("api", 80)})});
  EXPECT_EQ(ask({}), "direct") << "no rule is left for port 80";
  EXPECT_EQ(world_.mesh("dev", "web", 81, {.host = "web"}), kApi);
}

TEST_F(Mesh, GatewaysOfAMatchReplaceTheListAboveAndTheSource) {
  auto here = on(prefix("/here"));
  here.gateways = {"mesh"};
  here.source_labels = {{"never", "asked"}};
  auto there = on(prefix("/there"));
  there.gateways = {"some-gateway"};
  put("web", {a_route({here}, {to("api")}), a_route({there}, {to("api")})});
  EXPECT_EQ(ask({.path = "/here"}), kApi);
  EXPECT_EQ(ask({.path = "/there"}), "404");
}

TEST_F(Mesh, ConditionsReachTheProxyAsTheyAreWritten) {
  auto match = on(prefix("/x"));
  match.method = exact("POST");
  match.headers = {{"x-user", exact("ann")}};
  put("web", {a_route({match}, {to("api")}), a_route({}, {to("web")})});
  EXPECT_EQ(ask({.path = "/x", .method = "POST", .headers = {{"x-user", "ann"}}}), kApi);
  EXPECT_EQ(ask({.path = "/x", .method = "GET", .headers = {{"x-user", "ann"}}}), kWeb);
  EXPECT_EQ(ask({.path = "/x", .method = "POST"}), kWeb);
}

TEST_F(Mesh, AConditionThatCannotBeAskedIsNeverFulfilled) {
  auto claims = on(prefix("/"));
  claims.unsupported = true;
  put("web", {a_route({claims}, {to("api")}), a_route({}, {to("web")})});
  EXPECT_EQ(ask({}), kWeb);
}

TEST_F(Mesh, AnActionThatIsNotBuiltAnswersAnErrorAndIsNamed) {
  auto redirect = a_route({on(prefix("/old"))}, {});
  redirect.action = objects::HttpRoute::Action::kRedirect;
  put("web", {redirect, a_route({}, {to("web")})});
  EXPECT_EQ(ask({.path = "/old"}), "NC unsupported|redirect");
  EXPECT_EQ(ask({.path = "/new"}), kWeb);
  const std::string said = world_.said("VirtualService", "dev", "web", "PartiallyInvalid");
  EXPECT_NE(said.find("http[0].redirect"), std::string::npos) << said;
}

TEST_F(Mesh, WeightsAreKeptAndNoneMeansNothing) {
  put("web", {a_route({}, {to("api", 0, "", 90), to("web", 0, "", 10), to("gone", 0, "", 0)})});
  EXPECT_EQ(ask({}), std::string("90 ") + kApi + " + 10 " + kWeb);
}

TEST_F(Mesh, ASingleDestinationGetsEverythingWhateverItsWeight) {
  put("web", {a_route({}, {to("api", 0, "", 0)})});
  EXPECT_EQ(ask({}), kApi);
}

TEST_F(Mesh, ADestinationWithoutAPortTakesTheOnlyOneElseTheListeners) {
  world_.put(a_service("dev", "two", "10.96.0.7", {a_port("http", 80), a_port("http-b", 90)}));
  world_.put(a_service("dev", "one", "10.96.0.8", {a_port("http", 7000)}));
  put("web", {a_route({on(prefix("/two"))}, {to("two")}), a_route({on(prefix("/one"))}, {to("one")})});
  EXPECT_EQ(ask({.path = "/two"}), "UH outbound|80||two.dev.svc.cluster.local");
  EXPECT_EQ(ask({.path = "/one"}), "UH outbound|7000||one.dev.svc.cluster.local");
}

TEST_F(Mesh, AMissingPortIsNamed) {
  put("web", {a_route({}, {to("api", 8000)})});
  EXPECT_EQ(ask({}), "NC outbound|8000||api.dev.svc.cluster.local");
  EXPECT_NE(world_.said("VirtualService", "dev", "web", "ResolvedRefs").find("has no port 8000"),
            std::string::npos);
}

TEST_F(Mesh, AUdpPortIsNoDestinationOfARoute) {
  auto dns = a_service("dev", "dns", "10.96.0.9", {a_port("udp", 53)});
  dns->ports[0].protocol = objects::TransportProtocol::kUdp;
  world_.put(dns);
  put("web", {a_route({}, {to("dns", 53)})});
  EXPECT_EQ(ask({}), "NC outbound|53||dns.dev.svc.cluster.local");
}

TEST_F(Mesh, ShortDestinationsBelongToTheRulesNamespace) {
  put("web", {a_route({}, {to("api")})}, {"web.dev.svc.cluster.local"}, {}, 0, "ops");
  EXPECT_EQ(ask({}), "NC outbound|80||api.ops.svc.cluster.local");
}

TEST_F(Mesh, OnlyPortsThatSpeakHttpAreRouted) {
  world_.put(
      a_service("dev", "web", "10.96.0.1", {a_port("http", 80), a_port("tcp-db", 81), a_port("odd", 82)}));
  put("web", {a_route({}, {to("api", 80)})});
  EXPECT_EQ(ask({}), kApi);
  EXPECT_EQ(world_.mesh("dev", "web", 81, {}), "direct");
  EXPECT_EQ(world_.mesh("dev", "web", 82, {}), "direct");
  const std::string said = world_.said("VirtualService", "dev", "web", "PartiallyInvalid");
  EXPECT_NE(said.find("port 82"), std::string::npos) << said;
  EXPECT_EQ(said.find("port 81"), std::string::npos) << said;
}

TEST_F(Mesh, BareStarIsRefusedInTheMeshAndSaysWhy) {
  put("all", {a_route({}, {to("api")})}, {"*"});
  EXPECT_EQ(ask({}), "direct");
  EXPECT_TRUE(world_.said("VirtualService", "dev", "all", "Accepted").starts_with("False InvalidHost: "));
}

TEST_F(Mesh, ADelegateAndARuleWithoutHttpAreRefused) {
  put("delegate", {a_route({}, {to("api")})}, std::vector<std::string>{});
  put("tls", {}, {"web"});
  world_.look();
  EXPECT_TRUE(world_.said("VirtualService", "dev", "delegate", "Accepted")
                  .starts_with("False UnsupportedDelegate: "));
  EXPECT_TRUE(
      world_.said("VirtualService", "dev", "tls", "Accepted").starts_with("False UnsupportedRoutes: "));
}

TEST_F(Mesh, AHostThatIsNoServiceIsAcceptedAndChangesNothingHere) {
  put("outside", {a_route({}, {to("api")})}, {"shop.example.com"});
  EXPECT_EQ(ask({}), "direct");
  EXPECT_TRUE(
      world_.said("VirtualService", "dev", "outside", "Accepted").starts_with("True Accepted: not in force"));
}

TEST_F(Mesh, RoutesNameTheRuleTheyComeFrom) {
  auto named_route = a_route({on(exact("/a"))}, {to("api")});
  named_route.name = "first";
  put("web", {named_route, a_route({on(exact("/b"))}, {to("api")})});
  const auto& routes = world_.look().route_tables[0].hosts[0].routes;
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].name, "first");
  EXPECT_EQ(routes[0].source, "VirtualService dev/web http[0]");
  EXPECT_EQ(routes[1].source, "VirtualService dev/web http[1]");
  EXPECT_EQ(world_.look().route_tables[0].name, "web.dev.svc.cluster.local:80");
}

TEST_F(Mesh, ARuleBehindOneThatTakesEverythingIsShadowedAndSaysSo) {
  put("web", {a_route({on(prefix("/"))}, {to("web")}), a_route({on(exact("/a"))}, {to("api")})});
  EXPECT_EQ(ask({.path = "/a"}), kWeb);
  const std::string said = world_.said("VirtualService", "dev", "web", "Shadowed");
  EXPECT_NE(said.find("http[1] is never reached"), std::string::npos) << said;
}

TEST_F(Mesh, ARuleCoveredByAnOlderVirtualServiceIsShadowedAndSaysByWhich) {
  put("old", {a_route({on(prefix("/a"))}, {to("web")})}, {"web"}, {}, 1);
  put("new", {a_route({on(exact("/a/b"))}, {to("api")}), a_route({on(exact("/z"))}, {to("api")})}, {"web"},
      {}, 2);
  world_.look();
  const std::string said = world_.said("VirtualService", "dev", "new", "Shadowed");
  EXPECT_NE(said.find("http[0] is never reached"), std::string::npos) << said;
  EXPECT_NE(said.find("VirtualService dev/old http[0]"), std::string::npos) << said;
  EXPECT_EQ(said.find("http[1]"), std::string::npos) << said;
  EXPECT_TRUE(world_.said("VirtualService", "dev", "old", "Shadowed").empty());
}

TEST_F(Mesh, ARuleWithOneMatchForEverythingKeepsItsOtherMatchesAheadOfYoungerRules) {
  put("old", {a_route({on(exact("/a")), on(prefix("/"))}, {to("web")})}, {"web"}, {}, 1);
  put("new", {a_route({on(prefix("/a"))}, {to("api")})}, {"web"}, {}, 2);
  EXPECT_EQ(ask({.path = "/a"}), kWeb);
  EXPECT_EQ(ask({.path = "/a/b"}), kApi);
  EXPECT_EQ(ask({.path = "/c"}), kWeb);
}

TEST_F(Mesh, RulesBeyondTheBoundAnswerAnErrorAndAreNamed) {
  std::vector<objects::HttpRoute> many;
  for (int i = 0; i < 10'005; ++i) many.push_back(a_route({on(exact("/" + std::to_string(i)))}, {to("api")}));
  put("many", std::move(many));
  EXPECT_EQ(ask({.path = "/9999"}), kApi);
  EXPECT_EQ(ask({.path = "/10000"}), "NC too many routes");
  const std::string said = world_.said("VirtualService", "dev", "many", "PartiallyInvalid");
  EXPECT_NE(said.find("http[10000] is left out"), std::string::npos) << said;
}

TEST_F(Mesh, NamespacesTreatedApartAreBounded) {
  std::vector<objects::HttpMatch> many;
  for (int i = 0; i < 300; ++i) {
    many.push_back(on(exact("/x")));
    many.back().source_namespace = "ns-" + std::to_string(1000 + i);
  }
  put("many", {a_route(many, {to("api")})});
  EXPECT_EQ(ask({.path = "/x", .source_ns = "ns-1000"}), kApi);
  EXPECT_EQ(ask({.path = "/x", .source_ns = "ns-1299"}), kWeb);
  EXPECT_NE(world_.said("VirtualService", "dev", "many", "PartiallyInvalid").find("more than 200 namespaces"),
            std::string::npos);
}

}  // namespace
}  // namespace weft::test
