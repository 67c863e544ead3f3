#include <gtest/gtest.h>

#include "agent/objects/object.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

using namespace std::chrono_literals;

TEST(Values, durations_have_go_form) {
  EXPECT_EQ(parse_duration("0"), 0ns);
  EXPECT_EQ(parse_duration("0s"), 0ns);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("10ms"), 10ms);
  EXPECT_EQ(parse_duration("172800s"), 48h);
  EXPECT_EQ(parse_duration(".5m"), 30s);
  EXPECT_EQ(parse_duration("3us"), 3us);
  for (const char* bad :
       {"", "5", "s", "-1s", "+1s", "1 s", "1d", "1s ", "1e3s", "1..5s", "9999999999h", "infs"})
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(Values, quantities_are_told_from_words) {
  for (const char* good : {"100m", "1Gi", "1.5", "0", "+3k", "-1", "1e3", "2E-3", "5E", ".5Mi"})
    EXPECT_TRUE(is_quantity(good)) << good;
  for (const char* bad : {"", "Gi", "1GiB", "1.2.3", "1 Gi", "e3", "1mm", "."})
    EXPECT_FALSE(is_quantity(bad)) << bad;
}

TEST(Values, times_are_rfc_3339) {
  const auto noon = parse_time("2026-01-31T12:00:00Z");
  ASSERT_TRUE(noon);
  EXPECT_EQ(to_string(*noon), "2026-01-31T12:00:00Z");
  EXPECT_EQ(parse_time("2026-01-31T13:00:00+01:00"), noon);
  EXPECT_EQ(parse_time("2026-01-31T12:00:00.123456Z"), noon);
  EXPECT_EQ(to_string(*parse_time("1969-12-31T23:59:59Z")), "1969-12-31T23:59:59Z");
  for (const char* bad :
       {"", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00Zx"})
    EXPECT_EQ(parse_time(bad), std::nullopt) << bad;
}

TEST(Values, names_keep_to_their_alphabets) {
  EXPECT_TRUE(is_dns_label("httpgo-v1"));
  EXPECT_FALSE(is_dns_label("Httpgo"));
  EXPECT_FALSE(is_dns_label("-a"));
  EXPECT_FALSE(is_dns_label(std::string(64, 'a')));
  EXPECT_TRUE(is_dns_subdomain("a.b-c.d"));
  EXPECT_FALSE(is_dns_subdomain("a..b"));
  EXPECT_FALSE(is_service_name("1a"));
  EXPECT_TRUE(is_port_name("http-8080"));
  EXPECT_FALSE(is_port_name("8080"));
  EXPECT_FALSE(is_port_name("a-very-long-port-name"));
  EXPECT_TRUE(is_label_key("app.kubernetes.io/name"));
  EXPECT_FALSE(is_label_key("a/b/c"));
  EXPECT_TRUE(is_label_value(""));
  EXPECT_FALSE(is_label_value("a b"));
  EXPECT_TRUE(is_wildcard_host("*.Foo.com"));
  EXPECT_FALSE(is_wildcard_host("a.*.com"));
  EXPECT_FALSE(is_wildcard_host("*foo.com"));
  EXPECT_TRUE(is_host_name("httpgo.dev.svc.cluster.local."));
}

TEST(Values, wildcards_cover_longer_names_only) {
  EXPECT_TRUE(host_covers("*.foo.com", "a.foo.com"));
  EXPECT_TRUE(host_covers("*.foo.com", "b.a.foo.com"));
  EXPECT_TRUE(host_covers("*.com", "*.foo.com"));
  EXPECT_TRUE(host_covers("*", "x"));
  EXPECT_FALSE(host_covers("*.foo.com", "foo.com"));
  EXPECT_FALSE(host_covers("a.foo.com", "*.foo.com"));
}

TEST(Values, a_misspelt_word_finds_its_neighbour) {
  const std::vector<std::string_view> words{"match", "route", "mirrorPercentage", "name", "queryParams"};
  EXPECT_EQ(closest("mach", words), "match");
  EXPECT_EQ(closest("matches", words), "match");
  EXPECT_EQ(closest("ruote", words), "route");
  EXPECT_EQ(closest("mirror_percentage", words), "mirrorPercentage");
  EXPECT_EQ(closest("QueryParam", words), "queryParams");
  EXPECT_EQ(closest("zzz", words), "");
  EXPECT_EQ(closest(std::string(100, 'a'), words), "");
}

}  // namespace
}  // namespace weft::objects
