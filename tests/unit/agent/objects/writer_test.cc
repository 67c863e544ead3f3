#include <gtest/gtest.h>

#include "agent/objects/node.h"
#include "agent/parse/yaml.h"

namespace weft::objects {
namespace {

Node read(const std::string& text) {
  auto result = parse::read_yaml(text, "test.yaml");
  for (const Finding& finding : result.findings) ADD_FAILURE() << to_string(finding) << "\n" << text;
  return result.documents.empty() ? Node() : std::move(result.documents[0].root);
}

TEST(Writer, yaml_looks_as_kubectl_writes_it) {
  Node pod;
  pod["apiVersion"] = Node::string("v1");
  pod["metadata"]["labels"] = Node::strings(std::map<std::string, std::string>{{"version", "1"}});
  pod["spec"]["containers"].append(Node::mapping());
  Node& container = *pod["spec"].find("containers");
  Node item;
  item["name"] = Node::string("c");
  item["args"].append(Node::string("-x"));
  container = Node::sequence({item});
  pod["empty"] = Node::mapping();
  pod["none"] = Node::sequence();
  EXPECT_EQ(to_yaml(pod),
            "apiVersion: v1\n"
            "metadata:\n"
            "  labels:\n"
            "    version: \"1\"\n"
            "spec:\n"
            "  containers:\n"
            "  - name: c\n"
            "    args:\n"
            "    - \"-x\"\n"
            "empty: {}\n"
            "none: []\n");
}

TEST(Writer, every_string_comes_back_as_itself) {
  const std::string strings[] = {"",
                                 "yes",
                                 "No",
                                 "null",
                                 "~",
                                 "12",
                                 "0x1f",
                                 "1e3",
                                 ".5",
                                 "...",
                                 "---",
                                 "-",
                                 "- a",
                                 "a: b",
                                 "a #b",
                                 "#a",
                                 "&a",
                                 "*a",
                                 "!a",
                                 "%a",
                                 "@a",
                                 "`a",
                                 "'",
                                 "\"",
                                 "\\",
                                 "a\nb",
                                 "a\tb",
                                 " a",
                                 "a ",
                                 "{a}",
                                 "[a]",
                                 "?",
                                 "a:",
                                 ":",
                                 "<<",
                                 "=",
                                 "1:30",
                                 "2026-1-1",
                                 "weft.mesh/netns",
                                 "\xc3\xa4",
                                 "\xe2\x80\xa8",
                                 "\xef\xbb\xbf",
                                 "\xc2\x85",
                                 std::string("\0", 1),
                                 "\x7f",
                                 std::string(3000, 'k')};
  for (const std::string& text : strings) {
    Node node;
    node[text] = Node::string(text);
    EXPECT_EQ(read(to_yaml(node)), node) << to_yaml(node);
    if (text.size() < 1000) {
      EXPECT_EQ(read(to_json(node)), node) << to_json(node);
    }
  }
}

TEST(Writer, nested_lists_and_mappings_come_back) {
  const Node node = read("a: [[1, [2]], {b: [{c: d, e: f}]}]\ng: {h: {}, i: [], j: ~}\n");
  EXPECT_EQ(read(to_yaml(node)), node) << to_yaml(node);
  EXPECT_EQ(read(to_json(node, 0)), node);
}

TEST(Writer, documents_are_parted_by_dashes) {
  EXPECT_EQ(to_yaml(std::vector<Node>{Node::integer(1), Node::string("a")}), "1\n---\na\n");
}

TEST(Writer, json_is_indented_or_one_line) {
  const Node node = read("a: [1, true]\nb: x\n");
  EXPECT_EQ(to_json(node, 0), R"({"a":[1,true],"b":"x"})");
  EXPECT_EQ(to_json(node), "{\n  \"a\": [\n    1,\n    true\n  ],\n  \"b\": \"x\"\n}");
}

TEST(Node, set_replaces_in_place_and_erase_removes) {
  Node node;
  node.set("a", Node::integer(1));
  node.set("b", Node::integer(2));
  node.set("a", Node::integer(3));
  EXPECT_EQ(to_json(node, 0), R"({"a":3,"b":2})");
  node.erase("a");
  EXPECT_EQ(node.find("a"), nullptr);
  EXPECT_TRUE(node.at({"b", "c", "d"}).is_null());
}

}  // namespace
}  // namespace weft::objects
