// Objects come from a server, change, are refused and go; the catalogue says what that means.
#include "agent/watch/served_catalog.h"

#include <gtest/gtest.h>

#include "tests/support/manifests.h"

namespace weft::watch {
namespace {

using objects::Kind;
using objects::ObjectKey;

struct Form {
  const char* uid = "u1";
  int generation = 1;
  const char* spec = "{host: httpgo}";
  const char* version = "1";
};

objects::Node rule(const std::string& name, const Form& form = {}) {
  return test::root_of("{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: " + name +
                       ", namespace: dev, uid: " + form.uid + ", generation: " + std::to_string(form.generation) +
                       ", resourceVersion: '" + form.version + "'}, spec: " + form.spec + "}");
}

objects::Node policy(const char* uid, int generation, const std::string& spec) {
  return test::root_of("{metadata: {name: p, namespace: dev, uid: " + std::string(uid) +
                       ", generation: " + std::to_string(generation) + "}, spec: " + spec + "}");
}

class ServedCatalogTest : public testing::Test {
 protected:
  void put(const objects::Node& node, Kind kind = Kind::kDestinationRule) { catalog_.put(kind, "v1", node); }
  void drop(const std::string& name, Kind kind = Kind::kDestinationRule) { catalog_.remove({kind, "dev", name}); }

  // "+a:host" upsert, "+p:closed" of what stands in, "-a" removal, "!a:2@7" findings at a generation.
  std::string commit() {
    std::string out;
    for (const Event& event : catalog_.commit()) out += (out.empty() ? "" : " ") + spell(event);
    return out;
  }

  std::string spell(const Event& event) {
    if (const auto* upsert = std::get_if<Upsert>(&event)) {
      const auto rule = objects::as<objects::DestinationRule>(upsert->object);
      if (rule) return "+" + upsert->key.name + ":" + rule->host;
      return "+" + upsert->key.name + (upsert->object->refused ? ":closed" : ":good");
    }
    if (const auto* removal = std::get_if<Remove>(&event)) return "-" + removal->key.name;
    said_ = std::get<ObjectFindings>(event);
    return "!" + said_.key.name + ":" + std::to_string(said_.findings.size()) + "@" + std::to_string(said_.generation);
  }

  ServedCounters counters_;
  ServedCatalog catalog_{counters_};
  ObjectFindings said_;
};

TEST_F(ServedCatalogTest, objects_come_change_and_go) {
  put(rule("a"));
  put(rule("b"));
  EXPECT_EQ(commit(), "+a:httpgo +b:httpgo");
  put(rule("a", {.generation = 2, .spec = "{host: other}"}));
  EXPECT_EQ(commit(), "+a:other");
  drop("a");
  drop("b");
  drop("never-seen");
  EXPECT_EQ(commit(), "-a -b");
  EXPECT_EQ(counters_.objects, 0u);
  EXPECT_EQ(commit(), "");
}

TEST_F(ServedCatalogTest, a_status_written_to_an_object_is_no_event) {
  put(rule("a"));
  EXPECT_EQ(commit(), "+a:httpgo");
  put(rule("a", {.version = "2"}));
  EXPECT_EQ(commit(), "");
  EXPECT_EQ(counters_.unchanged, 1u);
}

TEST_F(ServedCatalogTest, several_forms_in_one_burst_are_one_event) {
  put(rule("a"));
  put(rule("a", {.generation = 2, .spec = "{host: two}"}));
  put(rule("a", {.generation = 3, .spec = "{host: three}"}));
  EXPECT_EQ(commit(), "+a:three");
  put(rule("b"));
  drop("b");
  EXPECT_EQ(commit(), "-b") << "a removal of something unknown does no harm";
}

TEST_F(ServedCatalogTest, an_object_that_was_made_again_goes_before_it_comes) {
  put(rule("a"));
  EXPECT_EQ(commit(), "+a:httpgo");
  drop("a");
  put(rule("a", {.uid = "u2"}));
  EXPECT_EQ(commit(), "-a +a:httpgo");
}

TEST_F(ServedCatalogTest, a_refused_form_leaves_the_last_good_one_in_force_and_says_so) {
  put(rule("a"));
  EXPECT_EQ(commit(), "+a:httpgo");
  put(rule("a", {.generation = 2, .spec = "{hots: other}"}));
  EXPECT_EQ(commit(), "!a:2@2");
  EXPECT_EQ(said_.uid, "u1");
  EXPECT_EQ(said_.api_version, "networking.istio.io/v1");
  put(rule("a", {.generation = 2, .spec = "{hots: other}", .version = "9"}));
  EXPECT_EQ(commit(), "") << "its status was written";
  put(rule("a", {.generation = 3, .spec = "{host: third}"}));
  EXPECT_EQ(commit(), "+a:third !a:0@0");
  EXPECT_EQ(counters_.refused, 2u);
}

TEST_F(ServedCatalogTest, a_good_form_that_was_never_left_takes_the_refusal_back) {
  put(rule("a"));
  EXPECT_EQ(commit(), "+a:httpgo");
  put(rule("a", {.generation = 2, .spec = "{hots: other}"}));
  EXPECT_EQ(commit(), "!a:2@2");
  put(rule("a", {.generation = 3}));
  EXPECT_EQ(commit(), "+a:httpgo !a:0@0");
}

TEST_F(ServedCatalogTest, a_refused_object_without_good_form_has_no_effect_and_its_end_takes_the_refusal_back) {
  put(rule("a", {.spec = "{hots: other}"}));
  EXPECT_EQ(commit(), "!a:2@1");
  drop("a");
  EXPECT_EQ(commit(), "-a");
}

TEST_F(ServedCatalogTest, the_good_form_of_an_object_that_is_gone_does_not_outlive_it_in_a_refused_namesake) {
  put(rule("a"));
  EXPECT_EQ(commit(), "+a:httpgo");
  put(rule("a", {.uid = "u2", .spec = "{hots: other}"}));
  EXPECT_EQ(commit(), "-a !a:2@1");
}

TEST_F(ServedCatalogTest, a_policy_fails_closed_until_a_good_form_comes_and_not_after) {
  put(policy("u1", 1, "{rulez: []}"), Kind::kAuthorizationPolicy);
  EXPECT_EQ(commit(), "+p:closed !p:1@1");
  put(policy("u1", 2, "{rules: [{}]}"), Kind::kAuthorizationPolicy);
  EXPECT_EQ(commit(), "+p:good !p:0@0");
  put(policy("u1", 3, "{rulez: []}"), Kind::kAuthorizationPolicy);
  EXPECT_EQ(commit(), "!p:1@3");
  put(policy("u2", 1, "{rulez: []}"), Kind::kAuthorizationPolicy);
  EXPECT_EQ(commit(), "-p +p:closed !p:1@1") << "another object of that name";
  drop("p", Kind::kAuthorizationPolicy);
  EXPECT_EQ(commit(), "-p");
}

TEST_F(ServedCatalogTest, what_has_no_name_is_counted) {
  put(objects::Node::mapping());
  put(test::root_of("{metadata: {name: x}}"), Kind::kPod);
  EXPECT_EQ(commit(), "");
  EXPECT_EQ(counters_.unreadable, 2u);
}

}  // namespace
}  // namespace weft::watch
