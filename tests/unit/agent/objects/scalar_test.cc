// Unquoted scalars have the type that kubectl gives them (go-yaml v2 behind sigs.k8s.io/yaml).
#include <gtest/gtest.h>

#include <cmath>

#include "agent/objects/node.h"
#include "agent/parse/yaml.h"

namespace weft::objects {
namespace {

Node read_value(const std::string& text) {
  const auto result = parse::read_yaml("value: " + text + "\n", "test.yaml");
  EXPECT_TRUE(result.findings.empty()) << text;
  if (result.documents.empty()) return {};
  return result.documents[0].root.at({"value"});
}

struct Row {
  const char* yaml;
  const char* json;
};

// lint: table
TEST(Scalar, words_and_numbers_follow_kubectl) {
  constexpr Row kRows[] = {
      // booleans
      {"yes", "true"},
      {"Yes", "true"},
      {"YES", "true"},
      {"on", "true"},
      {"y", "true"},
      {"Y", "true"},
      {"true", "true"},
      {"True", "true"},
      {"no", "false"},
      {"off", "false"},
      {"OFF", "false"},
      {"n", "false"},
      {"FALSE", "false"},
      {"yEs", "\"yEs\""},
      {"tRUE", "\"tRUE\""},
      // null
      {"", "null"},
      {"~", "null"},
      {"null", "null"},
      {"NULL", "null"},
      {"nULL", "\"nULL\""},
      // integers
      {"0", "0"},
      {"8888", "8888"},
      {"-12", "-12"},
      {"+12", "12"},
      {"017", "15"},
      {"0o17", "15"},
      {"0x1F", "31"},
      {"-0x10", "-16"},
      {"0b101", "5"},
      {"1_000", "1000"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      // what looks octal but is not is a decimal float
      {"08", "8"},
      {"0x", "\"0x\""},
      {"0xg", "\"0xg\""},
      {"12a", "\"12a\""},
      {"-a", "\"-a\""},
      // floats
      {".5", "0.5"},
      {"-.5", "-0.5"},
      {"1.", "1"},
      {"1.5", "1.5"},
      {"1e3", "1000"},
      {"1.5e-3", "0.0015"},
      {"9223372036854775808", "9.223372036854776e+18"},
      {"1e", "\"1e\""},
      {"1.2.3", "\"1.2.3\""},
      {"10.0.0.1", "\"10.0.0.1\""},
      // strings that other readers take for more
      {"2026-01-31", "\"2026-01-31\""},
      {"2026-01-31T12:00:00Z", "\"2026-01-31T12:00:00Z\""},
      {"1:30", "\"1:30\""},
      {"190:20:30", "\"190:20:30\""},
      // quotes make strings
      {"\"yes\"", "\"yes\""},
      {"'1'", "\"1\""},
      {"\"\"", "\"\""},
      {"|\n  12\n", "\"12\\n\""},
      // tags
      {"!!str 12", "\"12\""},
      {"!!int \"12\"", "12"},
      {"! 12", "\"12\""},
      {"!!float 3", "3"},
  };
  for (const Row& row : kRows) EXPECT_EQ(to_json(read_value(row.yaml), 0), row.json) << row.yaml;
}

TEST(Scalar, infinities_and_nan_are_floats) {
  EXPECT_TRUE(std::isinf(read_value(".inf").as_real()));
  EXPECT_LT(read_value("-.INF").as_real(), 0);
  EXPECT_TRUE(std::isnan(read_value(".NaN").as_real()));
}

TEST(Scalar, keys_that_are_no_words_become_their_json_spelling) {
  const auto result = parse::read_yaml("8080: a\nyes: b\n1.5: c\n", "test.yaml");
  ASSERT_EQ(result.documents.size(), 1u);
  EXPECT_EQ(to_json(result.documents[0].root, 0), R"({"8080":"a","true":"b","1.5":"c"})");
}

}  // namespace
}  // namespace weft::objects
