#include "userspace-proxy/route/path.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft::route {
namespace {

std::string canonical(std::string_view path) {
  std::string out(path.size() * 3, '\0');
  return std::string(normalise(path, out.data()));
}

struct Vector {
  std::string_view in, out;
};

constexpr Vector kVectors[] = {
    {"/", "/"},
    {"/httpgo", "/httpgo"},
    {"/x/../httpgo", "/httpgo"},
    {"/./httpgo", "/httpgo"},
    {"//httpgo", "//httpgo"},
    {"/a/b/c/./../../g", "/a/g"},  // RFC 3986 5.2.4
    {"/a/..", "/"},
    {"/a/.", "/a/"},
    {"/..", "/"},
    {"/../../x", "/x"},
    {"/a/b/..", "/a/"},
    {"/a//../b", "/a/b"},
    {"/a/...", "/a/..."},
    {"/a/.b/..c/d..", "/a/.b/..c/d.."},
    {"/a\\b", "/a/b"},
    {"\\..\\x", "/x"},
    {"/a/%2e%2E/b", "/b"},
    {"/a/.%2e/b", "/b"},
    {"/%2e/b", "/b"},
    {"/%41%7e%2d%5f", "/A~-_"},
    {"/a%2fb", "/a%2Fb"},
    {"/a%5cb", "/a%5Cb"},
    {"/a%2F..%2Fb", "/a%2F..%2Fb"},
    {"/100%", "/100%25"},
    {"/%zz%4", "/%25zz%254"},
    {"/%%32%65/x", "/%252e/x"},  // no dot segment is born of two halves
    {"/%2%65%2%65/x", "/%252e%252e/x"},
    {"/%25%32%65", "/%252e"},  // decoded once, never twice
    {"/<a>{b}`\"", "/%3Ca%3E%7Bb%7D%60%22"},
    {"/a|b^[c]", "/a|b^[c]"},
    {"/caf%c3%a9", "/caf%C3%A9"},
};

TEST(PathTest, every_vector_of_mode_base_comes_out_as_written) {
  for (const auto& vector : kVectors) EXPECT_EQ(canonical(vector.in), vector.out) << vector.in;
}

TEST(PathTest, what_is_normal_is_left_alone_and_the_check_agrees_with_the_rewrite) {
  for (const auto& vector : kVectors) {
    const auto check = check_target(vector.in);
    EXPECT_NE(check, PathCheck::kRefuse) << vector.in;
    if (check == PathCheck::kNormal) {
      EXPECT_EQ(vector.in, vector.out);
    }
    EXPECT_EQ(canonical(vector.out), vector.out) << "not idempotent: " << vector.in;
  }
  EXPECT_EQ(check_target("/index.html?a=../b"), PathCheck::kNormal);
  EXPECT_EQ(check_target("/v1.2/file.tar.gz"), PathCheck::kNormal);
}

TEST(PathTest, bytes_that_no_target_may_hold_are_refused) {
  const std::vector<std::string> bad = {"",       "/a#b",      "/a b",  "/a\tb",  std::string("/a\0b", 4),
                                        "/a\x7f", "/\xc3\xa9", "/%00x", "/a?b c", "/a?b#c",
                                        "/a\r\nb"};
  for (const auto& target : bad) EXPECT_EQ(check_target(target), PathCheck::kRefuse) << target;
}

TEST(PathTest, the_query_takes_no_part) {
  const auto target = split_target("/a/../b?x=/../y?z");
  EXPECT_EQ(target.path, "/a/../b");
  EXPECT_EQ(target.query, "x=/../y?z");
  EXPECT_TRUE(target.has_query);
  EXPECT_TRUE(split_target("/a?").has_query);
  EXPECT_FALSE(split_target("/a").has_query);
}

}  // namespace
}  // namespace weft::route
