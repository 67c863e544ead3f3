#include "agent/cni_wire/json.h"

#include <gtest/gtest.h>

namespace weft::cni {
namespace {

TEST(CniJson, what_is_passed_on_is_passed_on_byte_for_byte) {
  const std::string text = R"({ "a" : [1, 2.50e+1 , {"b":null}], "c":"x" })";
  const auto json = Json::parse(text);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->member("a").text(), "[1, 2.50e+1 , {\"b\":null}]");
  ASSERT_EQ(json->member("a").items().size(), 3U);
  EXPECT_EQ(json->member("a").items()[1].text(), "2.50e+1");
  EXPECT_EQ(json->member("a").items()[2].member("b").kind(), Json::Kind::kNull);
  EXPECT_TRUE(json->member("d").is_none());
}

TEST(CniJson, strings_are_decoded_and_a_key_is_found_in_whatever_form_it_is_written) {
  const std::string text = R"({"\u0061b":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800x"})";
  const auto json = Json::parse(text);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->member("ab").as_string(), "\"\\/\b\f\n\r\t\u00e9\U0001F600\uFFFDx");
}

TEST(CniJson, reads_numbers_that_count_and_nothing_else) {
  const auto read = [](const std::string& text) { return Json::parse(text)->as_count(); };
  EXPECT_EQ(read("0"), 0);
  EXPECT_EQ(read("2147483647"), 2147483647);
  for (const char* text : {"-1", "1.0", "1e3", "2147483648", "\"1\"", "true"})
    EXPECT_FALSE(read(text)) << text;
}

TEST(CniJson, refuses_what_two_readers_might_read_in_two_ways) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "{}x",
                           "{\"a\":1,\"a\":2}",
                           "{\"a\":1,\"\\u0061\":2}",
                           "{\"a\":1,}",
                           "[1,]",
                           "[1 2]",
                           "01",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "-",
                           "nul",
                           "True",
                           "'a'",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"a\nb\"",
                           "{a:1}",
                           "[1]]",
                           "/*c*/1"})
    EXPECT_FALSE(Json::parse(text)) << text;
}

TEST(CniJson, depth_and_length_are_bounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_TRUE(Json::parse(nested(kMaxJsonDepth)));
  EXPECT_FALSE(Json::parse(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(Json::parse(nested(100'000)));
  EXPECT_FALSE(Json::parse("\"" + std::string(kMaxJsonBytes, 'a') + "\""));
}

TEST(CniJson, quoting_is_read_back_as_it_was) {
  const std::string odd("a\"b\\c\nd\x01\x7f\0e", 11);
  const std::string quoted = quote(odd);
  const auto json = Json::parse(quoted);
  ASSERT_TRUE(json) << quoted;
  EXPECT_EQ(json->as_string(), odd);
}

}  // namespace
}  // namespace weft::cni
