#include "agent/cni/conflist.h"

#include <gtest/gtest.h>

#include "agent/cni_wire/json.h"

namespace weft::cni {
namespace {

const Entry kEntry{"/run/weft/cni.sock", false, {"kube-system"}};
const std::string kOurs = to_json(kEntry);

const std::string kPretty = R"({
  "cniVersion": "0.4.0",
  "name": "kindnet",
  "plugins": [
    {
      "type": "ptp", "mtu": 1.50e3, "x-later": {"b": 1, "a": 2}
    },
    { "type": "portmap", "capabilities": {"portMappings": true} }
  ],
  "unknown" : [ 1 ]
}
)";

TEST(Conflist, our_entry_comes_last_and_nothing_else_changes_by_a_byte) {
  const auto chained = chain(kPretty, kEntry);
  ASSERT_TRUE(chained);
  EXPECT_TRUE(chained->changed);
  std::string expected = kPretty;
  const std::string last = "{\"portMappings\": true} }";
  expected.insert(expected.find(last) + last.size(), ",\n    " + kOurs);
  EXPECT_EQ(chained->text, expected);
  const auto back = unchain(chained->text);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->text, kPretty);
}

TEST(Conflist, chaining_twice_changes_nothing) {
  const auto once = chain(kPretty, kEntry);
  const auto twice = chain(once->text, kEntry);
  EXPECT_FALSE(twice->changed);
  EXPECT_EQ(twice->text, once->text);
  EXPECT_FALSE(unchain(kPretty)->changed);
}

TEST(Conflist, an_entry_that_somebody_wrote_in_his_own_way_is_still_the_entry) {
  const std::string text =
      R"({"name":"n","plugins":[{"type":"a"},)"
      R"({"excludeNamespaces":["kube-system"],"failMode":"closed","type":"weft-cni","socket":"/run/weft/cni.sock"}]})";
  EXPECT_FALSE(chain(text, kEntry)->changed);
}

TEST(Conflist, an_entry_in_the_wrong_place_or_twice_or_of_other_words_is_put_right) {
  const std::vector<std::string> wrong = {kOurs + R"(,{"type":"a"})",
                                          R"({"type":"a"},)" + kOurs + "," + kOurs,
                                          R"({"type":"a"},{"type":"weft-cni","failMode":"open"})"};
  for (const std::string& plugins : wrong) {
    const auto chained = chain(R"({"name":"n","plugins":[)" + plugins + "]}", kEntry);
    ASSERT_TRUE(chained) << plugins;
    EXPECT_TRUE(chained->changed);
    const auto json = Json::parse(chained->text);
    ASSERT_TRUE(json) << chained->text;
    const auto items = json->member("plugins").items();
    ASSERT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].text(), R"({"type":"a"})");
    EXPECT_EQ(items[1].text(), kOurs);
  }
}

TEST(Conflist, a_single_plugin_becomes_a_list_of_itself) {
  const auto list =
      to_list(R"( {"cniVersion":"0.3.1","name":"n","type":"bridge","ipam":{"type":"host-local"}} )");
  ASSERT_TRUE(list);
  const auto json = Json::parse(*list);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->member("cniVersion").as_string(), "0.3.1");
  EXPECT_EQ(json->member("name").as_string(), "n");
  EXPECT_EQ(json->member("plugins").items()[0].member("ipam").text(), R"({"type":"host-local"})");
  EXPECT_EQ(unchain(chain(*list, kEntry)->text)->text, *list);
}

TEST(Conflist, what_is_no_configuration_is_left_alone) {
  for (const char* text : {"", "{", "[]", "{}", R"({"name":"n"})", R"({"name":"n","plugins":{}})",
                           R"({"name":"n","plugins":[]})", R"({"plugins":[{"type":"a"}]})",
                           R"({"name":"n","plugins":[{"kind":"a"}]})", R"({"name":"n","plugins":["a"]})"}) {
    EXPECT_FALSE(chain(text, kEntry)) << text;
    EXPECT_FALSE(unchain(text)) << text;
  }
  EXPECT_FALSE(to_list(R"({"name":"n"})"));
  EXPECT_FALSE(to_list(R"({"type":"n"})"));
  EXPECT_FALSE(chain(R"({"name":"n","plugins":[)" + kOurs + "]}", kEntry)) << "alone it makes no interface";
}

}  // namespace
}  // namespace weft::cni
