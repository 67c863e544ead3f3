// The YAML reader: documents, marks, anchors, limits, and the place of every error.
#include "agent/parse/yaml.h"

#include <gtest/gtest.h>

#include <chrono>

namespace weft::parse {
namespace {

using objects::Mark;
using objects::Node;

TEST(Yaml, documents_are_parted_and_empty_ones_left_out) {
  const auto result = read_yaml("---\n# only a comment\n---\na: 1\n---\n---\nb: 2\n...\n", "f");
  ASSERT_TRUE(result.findings.empty());
  ASSERT_EQ(result.documents.size(), 2u);
  EXPECT_EQ(objects::to_json(result.documents[1].root, 0), R"({"b":2})");
  EXPECT_EQ(result.documents[1].file, "f");
}

TEST(Yaml, an_empty_file_is_no_error) {
  for (const char* text : {"", "\n\n", "# nothing\n", "---\n"}) {
    const auto result = read_yaml(text, "f");
    EXPECT_TRUE(result.findings.empty());
    EXPECT_TRUE(result.documents.empty());
  }
}

TEST(Yaml, keys_and_values_know_their_place) {
  const auto result = read_yaml("a:\n  - b: 1\n    c: {d: x}\n", "f");
  ASSERT_EQ(result.documents.size(), 1u);
  const Node& item = result.documents[0].root.at({"a"}).items()[0];
  EXPECT_EQ(item.mark(), (Mark{2, 5}));
  EXPECT_EQ(item.entries()[1].mark, (Mark{3, 5}));
  EXPECT_EQ(item.at({"c", "d"}).mark(), (Mark{3, 12}));
}

TEST(Yaml, columns_count_characters_not_bytes) {
  const auto result = read_yaml("\"\xc3\xa4\xc3\xb6\": x\n", "f");
  ASSERT_EQ(result.documents.size(), 1u);
  EXPECT_EQ(result.documents[0].root.entries()[0].value.mark(), (Mark{1, 7}));
}

TEST(Yaml, aliases_and_merge_keys_are_expanded) {
  const auto result = read_yaml(
      "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\ncopy: *base\n"
      "merged:\n  b: 9\n  <<: [*base, *other]\n",
      "f");
  ASSERT_EQ(result.documents.size(), 1u) << to_string(result.findings.at(0));
  const Node& root = result.documents[0].root;
  EXPECT_EQ(root.at({"copy"}), root.at({"base"}));
  EXPECT_EQ(objects::to_json(root.at({"merged"}), 0), R"({"b":9,"a":1,"c":4})");
}

TEST(Yaml, json_is_read_too) {
  const auto result = read_yaml(R"({"a": ["x", 1.5, null, true], "b": "\u00e4"})", "f");
  ASSERT_EQ(result.documents.size(), 1u);
  EXPECT_EQ(objects::to_json(result.documents[0].root, 0),
            "{\"a\":[\"x\",1.5,null,true],\"b\":\"\xc3\xa4\"}");
}

struct Row {
  const char* text;
  uint32_t line, column;
  const char* code;
  const char* message;
};

TEST(Yaml, every_error_has_its_place) {
  constexpr Row kRows[] = {
      {"a: [1, 2\nb: 3\n", 2, 2, "YamlSyntax", "did not find expected ',' or ']'"},
      {"a: 1\n b: 2\n", 2, 3, "YamlSyntax", "mapping values are not allowed"},
      {"a:\n\tb: 1\n", 2, 1, "YamlSyntax", "tabs for indentation"},
      {"a: \"x\n", 2, 1, "YamlSyntax", "unexpected end of stream"},
      {"- a\nb: 1\n", 2, 1, "YamlSyntax", "did not find expected '-'"},
      {"a: 1\na: 2\n", 2, 1, "DuplicateKey", "the key \"a\" occurs twice"},
      {"x:\n  1: a\n  \"1\": b\n", 3, 3, "DuplicateKey", "the key \"1\" occurs twice"},
      {"a: *b\n", 1, 4, "YamlSyntax", "*b has no anchor"},
      {"a: &a [*a]\n", 1, 8, "YamlSyntax", "*a has no anchor"},
      {"? [a]\n: b\n", 1, 3, "YamlSyntax", "a key must be a word"},
      {"~: b\n", 1, 1, "YamlSyntax", "found null"},
      {"a: !!int x\n", 1, 4, "YamlSyntax", "cannot be used on the string"},
      {"a: !foo x\n", 1, 4, "YamlSyntax", "the tag !foo"},
      {"a: !!binary aGk=\n", 1, 4, "YamlSyntax", "tag"},
      {"<<: 1\n", 1, 1, "YamlSyntax", "merge key"},
      {"a: b\nc: \x80\n", 2, 4, "YamlSyntax", "invalid leading UTF-8"},
      {"a: \x01\n", 1, 4, "YamlSyntax", "control characters"},
      {"ok: 1\n---\nb: }\n", 3, 4, "YamlSyntax", "did not find expected node content"},
      {"a: %\n", 1, 4, "YamlSyntax", "cannot start any token"},
  };
  for (const Row& row : kRows) {
    const auto result = read_yaml(row.text, "f.yaml");
    EXPECT_TRUE(result.documents.empty()) << row.text;
    ASSERT_EQ(result.findings.size(), 1u) << row.text;
    const objects::Finding& finding = result.findings[0];
    EXPECT_EQ((Mark{finding.line, finding.column}), (Mark{row.line, row.column}))
        << row.text << to_string(finding);
    EXPECT_EQ(finding.code, row.code) << row.text;
    EXPECT_NE(finding.message.find(row.message), std::string::npos) << row.text << to_string(finding);
    EXPECT_EQ(finding.file, "f.yaml");
  }
}

std::string code_of(const std::string& text, const YamlLimits& limits = {}) {
  const auto result = read_yaml(text, "f", limits);
  return result.findings.empty() ? "" : result.findings[0].code;
}

TEST(Yaml, limits_hold) {
  EXPECT_EQ(code_of(std::string(100, ' '), {.bytes = 99}), "TooLarge");
  EXPECT_EQ(code_of("[a, b, c]", {.nodes = 3}), "TooLarge");
  EXPECT_EQ(code_of("[a, b]", {.nodes = 3}), "");
  EXPECT_EQ(code_of("[[[a]]]", {.depth = 2}), "TooLarge");
  EXPECT_EQ(code_of("[[a]]", {.depth = 2}), "");
  EXPECT_EQ(code_of("[&a x, *a, *a]", {.aliases = 1}), "TooLarge");
}

TEST(Yaml, aliases_cannot_nest_deeper_than_the_limit) {
  std::string text = "a0: &a0 [x]\n";
  for (int i = 1; i < 500; ++i) {
    const std::string n = std::to_string(i);
    text += "a" + n + ": &a" + n + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_EQ(code_of(text), "TooLarge");
}

TEST(Yaml, hostile_texts_end_soon) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) laughs += ", " + before;
    laughs += "]\n";
  }
  std::string keys;
  for (int i = 0; i < 50'000; ++i) keys += "k" + std::to_string(i) + ": v\n";
  const std::string texts[] = {laughs,
                               keys,
                               std::string(1 << 20, '['),
                               std::string(1 << 20, '{'),
                               std::string(1 << 20, '-'),
                               std::string(1 << 20, '?'),
                               std::string(1 << 20, '&'),
                               std::string(1 << 20, '"'),
                               std::string(1 << 20, '!'),
                               "a: &x " + std::string(1 << 20, 'y') + "\nb: [" +
                                   [] {
                                     std::string all;
                                     for (int i = 0; i < 900; ++i) all += "*x, ";
                                     return all;
                                   }() +
                                   "]\n"};
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string& text : texts) {
    const auto result = read_yaml(text, "f");
    for (const objects::Finding& finding : result.findings) EXPECT_LT(finding.message.size(), 600u);
  }
  EXPECT_EQ(code_of(laughs), "TooLarge");
  EXPECT_EQ(code_of(texts[9]), "TooLarge");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace weft::parse
