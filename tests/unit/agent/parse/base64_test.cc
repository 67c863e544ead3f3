#include "agent/parse/base64.h"

#include <gtest/gtest.h>

namespace weft::parse {
namespace {

struct Row {
  std::string bytes, plain, url;
};
// RFC 4648 10, and the two letters in which the forms differ.
const Row kRows[] = {{"", "", ""},
                     {"f", "Zg==", "Zg"},
                     {"fo", "Zm8=", "Zm8"},
                     {"foo", "Zm9v", "Zm9v"},
                     {"foob", "Zm9vYg==", "Zm9vYg"},
                     {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                     {"\xfb\xff\xfe", "+//+", "-__-"},
                     {std::string("\0\0", 2), "AAA=", "AAA"}};

TEST(Base64, is_as_the_rfc_says_in_both_forms) {
  for (const Row& row : kRows) {
    EXPECT_EQ(encode_base64(row.bytes, Base64::kPlain), row.plain);
    EXPECT_EQ(encode_base64(row.bytes, Base64::kUrl), row.url);
    EXPECT_EQ(decode_base64(row.plain, Base64::kPlain), row.bytes);
    EXPECT_EQ(decode_base64(row.url, Base64::kUrl), row.bytes);
  }
}

TEST(Base64, what_is_not_exactly_of_its_form_is_refused) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "-__-", "Zg==Zg=="})
    EXPECT_FALSE(decode_base64(text, Base64::kPlain)) << text;
  for (const char* text : {"Zg==", "Z", "Zh", "Zm9", "+//+", "Zm9v\n"}) EXPECT_FALSE(decode_base64(text, Base64::kUrl)) << text;
}

}  // namespace
}  // namespace weft::parse
