// The JSON reader: values, double keys, bounds, and lists handed out one by one.
#include "agent/parse/json.h"

#include <gtest/gtest.h>

namespace weft::parse {
namespace {

using objects::Node;

std::string round(std::string_view text) {
  const auto node = read_json(text);
  return node ? objects::to_json(*node, 0) : "error: " + base::describe(node.error());
}

TEST(Json, values_keep_their_type_and_keys_their_order) {
  const std::string text = R"({"b":1,"a":[true,false,null,-7,1.5,"x"],"c":{"d":"\u00e4\n"},"e":{},"f":[]})";
  EXPECT_EQ(round(text),
            "{\"b\":1,\"a\":[true,false,null,-7,1.5,\"x\"],\"c\":{\"d\":\"\xc3\xa4\\n\"},\"e\":{},\"f\":[]}");
  EXPECT_EQ(read_json("9223372036854775807")->as_int(), 9223372036854775807);
  EXPECT_EQ(read_json("9223372036854775808")->kind(), Node::Kind::kFloat);
  EXPECT_EQ(read_json("1e3")->as_int(), 1000);
}

TEST(Json, the_last_of_equal_keys_wins_as_in_go) {
  EXPECT_EQ(round(R"({"a":1,"b":2,"a":{"c":3}})"), R"({"a":{"c":3},"b":2})");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  const auto node = read_json(many + R"("k7":-1,"k99":-2,"k0":-3})");
  ASSERT_TRUE(node);
  EXPECT_EQ(node->entries().size(), 100u);
  EXPECT_EQ(node->find("k7")->as_int(), -1);
  EXPECT_EQ(node->find("k99")->as_int(), -2);
  EXPECT_EQ(node->find("k0")->as_int(), -3);
  EXPECT_EQ(node->find("k50")->as_int(), 50);
}

TEST(Json, what_is_no_json_is_refused) {
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "{\"a\" 1}", "{} {}", "'a'", "01",
                          "\"\x80\"", "\"a\nb\"", "{1:2}", "\"\\ud800\"", "[1e999]"})
    EXPECT_EQ(read_json(bad).error().kind, base::ErrorKind::kInvalid) << bad;
}

TEST(Json, size_depth_and_number_are_bounded) {
  const auto kind = [](std::string_view text, const JsonLimits& limits) {
    const auto node = read_json(text, limits);
    return node ? std::string("good") : std::string(base::name_of(node.error().kind));
  };
  const std::string limit(base::name_of(base::ErrorKind::kLimit));
  EXPECT_EQ(kind("[1,2]", {.bytes = 5}), "good");
  EXPECT_EQ(kind("[1,2]", {.bytes = 4}), limit);
  EXPECT_EQ(kind("[[[1]]]", {.depth = 3}), "good");
  EXPECT_EQ(kind("[[[[1]]]]", {.depth = 3}), limit);
  EXPECT_EQ(kind(std::string(9'999, '[') + std::string(9'999, ']'), {}), limit);
  EXPECT_EQ(kind("[1,2,3]", {.nodes = 4}), "good");
  EXPECT_EQ(kind("[1,2,3,4]", {.nodes = 4}), limit);
  EXPECT_EQ(kind("\"" + std::string(640, 'x') + "\"", {.nodes = 10}), limit);
}

TEST(Json, a_list_is_handed_out_one_by_one_and_its_rest_returned) {
  JsonReader reader;
  std::vector<std::string> names;
  const auto rest = reader.read_list(
      R"({"kind":"PodList","metadata":{"continue":"abc"},"items":[{"n":"a"},{"n":"b"}],"more":7})", "items",
      [&](Node item) -> base::Status {
        names.push_back(item.at({"n"}).as_string());
        return {};
      });
  ASSERT_TRUE(rest);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(objects::to_json(*rest, 0),
            R"({"kind":"PodList","metadata":{"continue":"abc"},"items":[],"more":7})");
}

TEST(Json, a_list_that_is_null_is_empty_and_one_that_is_no_list_is_refused) {
  JsonReader reader;
  const auto never = [](Node) -> base::Status { return base::fail(base::ErrorKind::kConflict, "called"); };
  EXPECT_TRUE(reader.read_list(R"({"items":null})", "items", never));
  EXPECT_TRUE(reader.read_list(R"({"other":1})", "items", never));
  EXPECT_EQ(reader.read_list(R"({"items":{}})", "items", never).error().kind, base::ErrorKind::kInvalid);
  EXPECT_EQ(reader.read_list(R"([1])", "items", never).error().kind, base::ErrorKind::kInvalid);
  EXPECT_EQ(reader.read_list(R"({"items":[1]})", "items", never).error().what, "called");
}

std::string without(std::string_view text, const std::vector<std::string_view>& paths) {
  const auto node = JsonReader().read(text, {}, Unread(paths));
  return node ? objects::to_json(*node, 0) : "error: " + base::describe(node.error());
}

TEST(Json, fields_that_nobody_reads_are_left_out_also_of_the_elements_of_an_array) {
  const std::string text = R"({"a":{"b":1,"c":{"d":2}},"l":[{"b":3,"c":4},5],"b":6})";
  EXPECT_EQ(without(text, {}), text);
  EXPECT_EQ(without(text, {"a.b", "l.c"}), R"({"a":{"c":{"d":2}},"l":[{"b":3},5],"b":6})");
  EXPECT_EQ(without(text, {"a", "l.b"}), R"({"l":[{"c":4},5],"b":6})");
  EXPECT_EQ(without(text, {"a.c.d", "a.c", "b.x", "none"}), R"({"a":{"b":1},"l":[{"b":3,"c":4},5],"b":6})");
  EXPECT_EQ(without("7", {"a"}), "7");
}

TEST(Json, what_is_left_out_is_still_held_to_the_grammar_and_to_the_depth) {
  EXPECT_TRUE(without(R"({"a":[1,}]})", {"a"}).starts_with("error"));
  EXPECT_FALSE(JsonReader().read(R"({"a":[[[[1]]]]})", {.depth = 3}, Unread({"a"})));
  EXPECT_TRUE(JsonReader().read(R"({"a":[1,2,3,4,5]})", {.nodes = 2}, Unread({"a"})));
}

TEST(Json, fields_are_left_out_of_each_element_of_a_list) {
  std::vector<std::string> got;
  const auto rest = JsonReader().read_list(
      R"({"kind":"L","x":1,"items":[{"x":1,"y":2},{"x":3}]})", "items",
      [&](Node item) {
        got.push_back(objects::to_json(item, 0));
        return base::Status();
      },
      {}, Unread({"x"}));
  ASSERT_TRUE(rest);
  EXPECT_EQ(got, (std::vector<std::string>{R"({"y":2})", "{}"}));
  EXPECT_EQ(objects::to_json(*rest, 0), R"({"kind":"L","x":1,"items":[]})") << "the list's own fields stay";
}

TEST(Json, a_reader_is_good_for_one_text_after_another_also_after_a_bad_and_a_long_one) {
  JsonReader reader;
  EXPECT_FALSE(reader.read("{"));
  EXPECT_TRUE(reader.read("{}"));
  EXPECT_TRUE(reader.read("\"" + std::string(3u << 20, 'x') + "\""));
  EXPECT_EQ(reader.read("[1,2]")->items().size(), 2u);
  EXPECT_FALSE(reader.read("[[[[1]]]]", {.depth = 3}));
  EXPECT_TRUE(reader.read("[[[[1]]]]"));
}

}  // namespace
}  // namespace weft::parse
