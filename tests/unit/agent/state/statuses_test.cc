// What objects are told beyond their own rules: findings, refusals, and that nothing is said twice.
#include <gtest/gtest.h>

#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

objects::Finding finding(objects::Severity severity, const std::string& code, const std::string& path,
                         std::optional<objects::ObjectKey> object) {
  objects::Finding out;
  out.severity = severity;
  out.code = code;
  out.file = "httpgo.yaml";
  out.line = 12;
  out.column = 5;
  out.path = path;
  out.message = "text";
  out.object = std::move(object);
  return out;
}

const objects::ObjectKey kKey{objects::Kind::kVirtualService, "dev", "httpgo"};

TEST(Statuses, UnsupportedFieldsAreNamedEachByItsPath) {
  World world;
  world.put(Httpgo().virtual_service,
            {finding(objects::Severity::kWarning, "UnsupportedField", "spec.http[0].timeout", kKey),
             finding(objects::Severity::kWarning, "UnsupportedField", "spec.http[0].retries", kKey),
             finding(objects::Severity::kWarning, "Deprecated", "spec.http[0].x", kKey)});
  world.look();
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "PartiallyInvalid"),
            "True UnsupportedField: not supported yet and without effect: spec.http[0].timeout, "
            "spec.http[0].retries");
  EXPECT_EQ(world.status("VirtualService", "dev", "httpgo")->findings.size(), 3u);
  world.put(Httpgo().virtual_service);
  world.look();
  EXPECT_TRUE(world.said("VirtualService", "dev", "httpgo", "PartiallyInvalid").empty());
}

TEST(Statuses, FindingsOfKindsWithoutConditionsAreShownToo) {
  World world;
  world.put(Httpgo().service, {finding(objects::Severity::kWarning, "UnsupportedField", "spec.x",
                                       objects::ObjectKey{objects::Kind::kService, "dev", "httpgo"})});
  world.look();
  ASSERT_NE(world.status("Service", "dev", "httpgo"), nullptr);
  EXPECT_EQ(world.status("Service", "dev", "httpgo")->file, "test.yaml");
  world.drop(objects::Kind::kService, "dev", "httpgo");
  world.look();
  EXPECT_EQ(world.status("Service", "dev", "httpgo"), nullptr);
}

TEST(Statuses, ARefusedObjectSaysWhereAndThatTheLastGoodFormHolds) {
  World world;
  world.put(Httpgo().virtual_service);
  world.state().fold(watch::FileFindings{
      "httpgo.yaml", {finding(objects::Severity::kError, "UnknownField", "spec.htp", kKey)}});
  world.look();
  const std::string said = world.said("VirtualService", "dev", "httpgo", "Accepted");
  EXPECT_TRUE(said.starts_with("False Refused: httpgo.yaml:12:5")) << said;
  EXPECT_TRUE(said.ends_with("the last good form stays in force")) << said;
  world.state().fold(watch::FileFindings{"httpgo.yaml", {}});
  world.look();
  EXPECT_TRUE(world.said("VirtualService", "dev", "httpgo", "Accepted").starts_with("True"));
}

TEST(Statuses, ARefusedObjectThatNeverWasHasAStatus) {
  World world;
  world.state().fold(
      watch::FileFindings{"httpgo.yaml", {finding(objects::Severity::kError, "WrongType", "spec", kKey)}});
  world.look();
  EXPECT_TRUE(world.said("VirtualService", "dev", "httpgo", "Accepted").ends_with("it has no effect"));
  world.state().fold(watch::FileFindings{"httpgo.yaml", {}});
  world.look();
  EXPECT_EQ(world.status("VirtualService", "dev", "httpgo"), nullptr);
}

TEST(Statuses, AFileThatCannotBeReadHasAStatusOfItsOwn) {
  World world;
  world.state().fold(watch::FileFindings{
      "apps/broken.yaml", {finding(objects::Severity::kError, "YamlSyntax", "", std::nullopt)}});
  world.look();
  ASSERT_NE(world.status("File", "", "apps/broken.yaml"), nullptr);
  EXPECT_TRUE(world.said("File", "", "apps/broken.yaml", "Accepted").starts_with("False Refused"));
}

TEST(Statuses, AreReportedOnlyWhenTheyChange) {
  state::State state(node_options());
  const Httpgo app;
  for (const auto& object : app.all()) state.fold(watch::Upsert{objects::key_of(*object), object, {}});
  EXPECT_FALSE(state.build().statuses.empty());
  EXPECT_TRUE(state.build().statuses.empty());
  state.fold(watch::Upsert{objects::key_of(*app.rule), app.rule, {}});
  EXPECT_TRUE(state.build().statuses.empty()) << "the same rule again";
  state.fold(watch::Remove{objects::key_of(*app.rule)});
  const state::Build build = state.build();
  EXPECT_EQ(build.removed, (std::vector<state::StatusKey>{{"DestinationRule", "dev", "httpgo"}}));
}

TEST(Statuses, OfAGatewayConcernOnlyWhatItServes) {
  World world{gateway_options()};
  const Httpgo app;
  for (const auto& object : app.all()) world.put(object);
  world.put(a_virtual_service("dev", "mesh-only", {"httpgo"}, {a_route({}, {to("httpgo")})}));
  world.look();
  EXPECT_EQ(world.status("VirtualService", "dev", "mesh-only"), nullptr);
  EXPECT_EQ(world.status("Pod", "istio-system", "gw"), nullptr);
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "Accepted"),
            "True Accepted: in force: gateway istio-system/gw, host * port 80");
}

TEST(Snapshots, GrowInVersionOnlyWhenSomethingInThemChanges) {
  World world;
  const Httpgo app;
  EXPECT_EQ(world.look().version, 1u);
  for (const auto& object : app.all()) world.put(object);
  EXPECT_EQ(world.look().version, 2u);
  EXPECT_TRUE(world.changed());
  world.look();
  EXPECT_FALSE(world.changed());
  world.put(app.slice);
  EXPECT_EQ(world.look().version, 2u) << "the same endpoints again";
  world.put(Httpgo::endpoints({}));
  EXPECT_EQ(world.look().version, 3u);
}

TEST(Snapshots, ThatTheDataPlaneWouldRefuseAreNotHandedOutAndTheLastGoodOneStays) {
  World world;
  const Httpgo app;
  world.look();
  world.put(app.service);
  world.look();
  auto match = on(prefix("/"));
  match.headers = {{std::string(2000, 'x'), exact("1")}};
  world.put(a_virtual_service("dev", "bad", {"httpgo"}, {a_route({match}, {to("httpgo")})}));
  EXPECT_EQ(world.look().version, 2u);
  EXPECT_FALSE(world.changed());
  EXPECT_TRUE(world.look().route_tables.empty());
  const std::string said = world.said("Snapshot", "", "node-1", "Accepted");
  EXPECT_TRUE(said.starts_with("False Invalid: ")) << said;
  EXPECT_NE(said.find("headers[0].name"), std::string::npos) << said;
  world.drop(objects::Kind::kVirtualService, "dev", "bad");
  EXPECT_EQ(world.look().version, 2u);
  EXPECT_EQ(world.status("Snapshot", "", "node-1"), nullptr);
}

TEST(Snapshots, FollowTheSettings) {
  World world;
  world.look();
  model::Settings settings;
  settings.access_log = true;
  world.state().set_settings(settings);
  EXPECT_TRUE(world.look().settings.access_log);
  EXPECT_TRUE(world.changed());
}

TEST(Snapshots, SayWhenTheFirstLookIsThrough) {
  World world;
  EXPECT_FALSE(world.state().synced());
  world.state().fold(watch::Synced{});
  EXPECT_TRUE(world.state().synced());
}

}  // namespace
}  // namespace weft::test
