#include "agent/state/destination_rules.h"

#include <gtest/gtest.h>

#include "tests/support/state_world.h"

namespace weft::test {
namespace {

constexpr const char* kHost = "web.dev.svc.cluster.local";

class Rules : public testing::Test {
 protected:
  void put(const std::shared_ptr<objects::DestinationRule>& rule) {
    objects_[{rule->meta.ns, rule->meta.name}] = rule;
  }
  // Names of the rules that hold, then of the subsets.
  std::string find(const std::string& client) const {
    const state::DestinationRules rules(objects_, "cluster.local", "istio-system");
    const state::RuleSet set = rules.find(kHost, "dev", client);
    std::string out;
    for (const auto* rule : set.rules) out += rule->meta.ns + "/" + rule->meta.name + " ";
    for (const auto& [name, labels] : set.subsets) out += name + ",";
    return out;
  }
  state::Objects<objects::DestinationRule> objects_;
};

TEST_F(Rules, OfTheCallersNamespaceGoBeforeTheServicesAndTheRoots) {
  put(a_rule("istio-system", "root", kHost, {{"r", {}}}));
  EXPECT_EQ(find("client"), "istio-system/root r,");
  put(a_rule("dev", "service", "web", {{"s", {}}}));
  EXPECT_EQ(find("client"), "dev/service s,");
  put(a_rule("client", "own", kHost, {{"c", {}}}));
  EXPECT_EQ(find("client"), "client/own c,");
  EXPECT_EQ(find("elsewhere"), "dev/service s,");
  EXPECT_EQ(find(""), "dev/service s,");
}

TEST_F(Rules, OfAStrangersNamespaceAreNotConsulted) {
  put(a_rule("default", "lost", kHost, {{"x", {}}}));
  EXPECT_EQ(find("istio-system"), "");
  EXPECT_EQ(find("default"), "default/lost x,");
}

TEST_F(Rules, InTheRootNamespaceHoldForCallersThereBeforeOthersOnlyIfPrivate) {
  put(a_rule("dev", "service", "web", {{"s", {}}}));
  put(a_rule("istio-system", "root", kHost, {{"r", {}}}));
  EXPECT_EQ(find("istio-system"), "dev/service s,");
  auto hidden = a_rule("istio-system", "root", kHost, {{"r", {}}});
  hidden->export_to = {"."};
  put(hidden);
  EXPECT_EQ(find("istio-system"), "istio-system/root r,");
}

TEST_F(Rules, AreSeenByCallersTheyAreExportedTo) {
  auto rule = a_rule("dev", "service", "web", {{"s", {}}});
  rule->export_to = {".", "friends"};
  put(rule);
  EXPECT_EQ(find("friends"), "dev/service s,");
  EXPECT_EQ(find("dev"), "dev/service s,");
  EXPECT_EQ(find("strangers"), "");
  rule->export_to = {"*"};
  EXPECT_EQ(find("strangers"), "dev/service s,");
}

TEST_F(Rules, ThatSelectTheirClientsAreAppliedToNobodyYet) {
  auto rule = a_rule("dev", "service", "web", {{"s", {}}});
  rule->selects_clients = true;
  put(rule);
  EXPECT_EQ(find("dev"), "");
}

TEST_F(Rules, WithTheMostSpecificHostGoFirst) {
  put(a_rule("dev", "wide", "*.dev.svc.cluster.local", {{"w", {}}}));
  EXPECT_EQ(find(""), "dev/wide w,");
  put(aged(a_rule("dev", "exact", "web", {{"e", {}}}), 9));
  EXPECT_EQ(find(""), "dev/exact e,");
}

TEST_F(Rules, ForOneHostUniteTheirSubsetsAndTheOldestDefinitionOfANameWins) {
  put(aged(a_rule("dev", "a-new", "web", {{"v1", {{"version", "new"}}}, {"v3", {}}}), 5));
  put(aged(a_rule("dev", "z-old", "web", {{"v1", {{"version", "old"}}}, {"v2", {}}}), 1));
  EXPECT_EQ(find(""), "dev/z-old dev/a-new v1,v2,v3,");
  const state::DestinationRules rules(objects_, "cluster.local", "istio-system");
  EXPECT_EQ(rules.find(kHost, "dev", "").subsets.at("v1").at("version"), "old");
}

TEST_F(Rules, WithAnotherExportStayApartFromTheOldest) {
  put(aged(a_rule("dev", "old", "web", {{"v1", {}}}), 1));
  auto other = aged(a_rule("dev", "new", "web", {{"v2", {}}}), 2);
  other->export_to = {"friends"};
  put(other);
  EXPECT_EQ(find("friends"), "dev/old v1,");
}

TEST_F(Rules, OfEqualAgeAreOrderedByName) {
  put(a_rule("dev", "b", "web", {{"v1", {{"from", "b"}}}}));
  put(a_rule("dev", "a", "web", {{"v1", {{"from", "a"}}}}));
  EXPECT_EQ(find(""), "dev/a dev/b v1,");
}

TEST_F(Rules, NameTheCallersThatMeetOthersThanEverybody) {
  const auto special = [&] {
    return state::DestinationRules(objects_, "cluster.local", "istio-system").special_clients(kHost, "dev");
  };
  put(a_rule("dev", "service", "web", {{"s", {}}}));
  EXPECT_TRUE(special().empty());
  put(a_rule("client", "own", kHost, {{"c", {}}}));
  EXPECT_EQ(special(), std::set<std::string>{"client"});
}

TEST(RulesInTheMesh, CallersOfANamespaceWithItsOwnRuleGetItsSubsets) {
  World world;
  world.put(a_service("dev", "web", "10.96.0.1", {a_port("http", 80)}))
      .put(a_pod("dev", "a", {.ip = "10.1.1.5", .labels = {{"version", "v1"}}}))
      .put(a_slice("dev", "s", "web", {{"http", 8080}}, {an_endpoint("10.1.1.5")}))
      .put(a_rule("client", "own", kHost, {{"v1", {{"version", "v1"}}}}))
      .put(a_virtual_service("dev", "web", {"web"}, {a_route({}, {to("web", 80, "v1")})}));
  EXPECT_EQ(world.mesh("dev", "web", 80, {.host = "web.dev", .source_ns = "client"}),
            std::string("outbound|80|v1|") + kHost);
  EXPECT_EQ(world.mesh("dev", "web", 80, {.host = "web.dev", .source_ns = "other"}),
            std::string("NC outbound|80|v1|") + kHost);
  EXPECT_EQ(world.said("DestinationRule", "client", "own", "Applied"),
            "True SomeCallers: for callers in namespace client");
}

TEST(RulesInTheMesh, AHostThatIsNoServiceIsReported) {
  World world;
  world.put(a_rule("dev", "lost", "nowhere", {{"v1", {}}}));
  world.look();
  EXPECT_EQ(world.said("DestinationRule", "dev", "lost", "ResolvedRefs"),
            "False NotFound: no Service nowhere.dev.svc.cluster.local; create it or correct spec.host");
}

}  // namespace
}  // namespace weft::test
