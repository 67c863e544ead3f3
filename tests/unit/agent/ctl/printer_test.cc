#include "agent/ctl/printer.h"

#include <gtest/gtest.h>

namespace weft::ctl {
namespace {

TEST(Labels, are_set_and_removed_by_their_text) {
  const auto set = parse_label_change("istio-injection=enabled");
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(set->key, "istio-injection");
  EXPECT_EQ(set->value, "enabled");
  EXPECT_FALSE(set->remove);
  const auto removed = parse_label_change("istio.io/dataplane-mode-");
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->key, "istio.io/dataplane-mode");
  EXPECT_TRUE(removed->remove);
  EXPECT_TRUE(parse_label_change("empty=").has_value());
}

TEST(Labels, that_kubernetes_would_refuse_are_refused) {
  for (const char* text : {"", "-", "=x", "no-sign", "a b=c", "a=b c", "a=b/c"})
    EXPECT_FALSE(parse_label_change(text).has_value()) << text;
}

TEST(Selector, terms_must_all_hold) {
  const Json labels{{"app", "web"}, {"version", "v1"}};
  for (const char* text : {"", "app=web", "app==web", "app=web,version=v1", "app!=db", "version", "!zone"})
    EXPECT_TRUE(matches_selector(text, labels)) << text;
  for (const char* text : {"app=db", "app=web,version=v2", "app!=web", "zone", "!app", "zone=a"})
    EXPECT_FALSE(matches_selector(text, labels)) << text;
}

TEST(Jsonpath, reads_keys_indexes_wildcards_and_filters) {
  const Json root{
      {"items", Json::array({{{"name", "a"}, {"ip", "1.1.1.1"}}, {{"name", "b"}, {"ip", "2.2.2.2"}}})},
      {"labels", {{"app.kubernetes.io/name", "x"}}},
      {"n", 30000}};
  EXPECT_EQ(jsonpath(root, "{.items[0].ip}").value(), "1.1.1.1");
  EXPECT_EQ(jsonpath(root, "{.items[*].name}").value(), "a b");
  EXPECT_EQ(jsonpath(root, "{.items[?(@.name==\"b\")].ip}:{.n}").value(), "2.2.2.2:30000");
  EXPECT_EQ(jsonpath(root, "{.labels.app\\.kubernetes\\.io/name}").value(), "x");
  EXPECT_EQ(jsonpath(root, "{.missing.deep[3]}").value(), "");
  EXPECT_FALSE(jsonpath(root, "{.items[0}").has_value());
  EXPECT_FALSE(jsonpath(root, "{.items").has_value());
}

TEST(Table, columns_are_as_wide_as_their_widest_cell) {
  Table table({"NAME", "AGE"});
  table.add({"httpgo-v1", "1s"});
  EXPECT_EQ(table.text(), "NAME        AGE\nhttpgo-v1   1s\n");
}

TEST(Age, is_short) {
  EXPECT_EQ(age_text("1970-01-01T00:00:10Z", 45), "35s");
  EXPECT_EQ(age_text("1970-01-01T00:00:00Z", 250), "4m10s");
  EXPECT_EQ(age_text("1970-01-01T00:00:00Z", 7200), "120m");
  EXPECT_EQ(age_text("1970-01-01T00:00:00Z", 5 * 86400), "5d");
  EXPECT_EQ(age_text("yesterday", 10), "<unknown>");
}

}  // namespace
}  // namespace weft::ctl
