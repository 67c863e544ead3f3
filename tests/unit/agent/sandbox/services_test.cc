#include "agent/sandbox/services.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

Layout layout(bool dual_stack = false, uint32_t index = 0) {
  return Layout(Plan{.name = "t", .index = index, .nodes = 2, .dual_stack = dual_stack});
}
const Json kPort = Json::array({{{"name", "http"}, {"port", 80}}});

TEST(Services, get_addresses_one_after_the_other_and_defaults) {
  const Layout place = layout();
  ServiceAllocator allocator(place);
  const Json first = allocator.complete(service("a", {{"ports", kPort}}), nullptr);
  const Json second = allocator.complete(service("b", {{"ports", kPort}}), nullptr);
  EXPECT_EQ(text_at(first, "spec.clusterIP"), "10.96.0.11");
  EXPECT_EQ(text_at(second, "spec.clusterIP"), "10.96.0.12");
  EXPECT_EQ(text_at(first, "spec.type"), "ClusterIP");
  EXPECT_EQ(int_at(first, "spec.ports.0.targetPort"), 80);
  EXPECT_EQ(text_at(first, "spec.ports.0.protocol"), "TCP");
  EXPECT_FALSE(has(first, "spec.ports.0.nodePort"));
}

TEST(Services, keep_what_they_were_given_before) {
  const Layout place = layout();
  ServiceAllocator allocator(place);
  const Json wanted = service("a", {{"type", "NodePort"}, {"ports", kPort}});
  const Json before = allocator.complete(wanted, nullptr);
  EXPECT_EQ(int_at(before, "spec.ports.0.nodePort"), 30000);
  EXPECT_EQ(allocator.complete(wanted, &before), before);
}

TEST(Services, never_hand_out_what_another_service_asked_for_or_holds) {
  const Layout place = layout();
  ServiceAllocator allocator(place);
  Json holder = service("h", {{"type", "NodePort"}, {"clusterIP", "10.96.0.11"}, {"ports", kPort}});
  holder["spec"]["ports"][0]["nodePort"] = 30000;
  const Json held = allocator.complete(holder, nullptr);
  EXPECT_EQ(text_at(held, "spec.clusterIP"), "10.96.0.11");
  EXPECT_EQ(int_at(held, "spec.ports.0.nodePort"), 30000);
  ServiceAllocator later(place);
  later.see({{{"Service", "dev", "h"}, held}});
  const Json other = later.complete(service("o", {{"type", "LoadBalancer"}, {"ports", kPort}}), nullptr);
  EXPECT_EQ(text_at(other, "spec.clusterIP"), "10.96.0.12");
  EXPECT_EQ(int_at(other, "spec.ports.0.nodePort"), 30001);
  EXPECT_EQ(text_at(other, "spec.externalTrafficPolicy"), "Cluster");
}

TEST(Services, have_both_families_only_where_asked_and_possible) {
  const Json spec{{"ports", kPort}, {"ipFamilyPolicy", "PreferDualStack"}};
  const Layout dual = layout(true), single = layout(false), second = layout(true, 1);
  EXPECT_EQ(ServiceAllocator(dual).complete(service("a", spec), nullptr)["spec"]["clusterIPs"],
            Json::array({"10.96.0.11", "fd00:10:96::b"}));
  EXPECT_EQ(ServiceAllocator(dual).complete(service("a", {{"ports", kPort}}), nullptr)["spec"]["clusterIPs"],
            Json::array({"10.96.0.11"}));
  EXPECT_EQ(ServiceAllocator(single).complete(service("a", spec), nullptr)["spec"]["clusterIPs"],
            Json::array({"10.96.0.11"}));
  EXPECT_EQ(ServiceAllocator(second).complete(service("a", spec), nullptr)["spec"]["clusterIPs"],
            Json::array({"10.97.0.11", "fd00:10:96:1::b"}));
}

TEST(Services, headless_and_external_ones_get_no_address) {
  const Layout place = layout();
  ServiceAllocator allocator(place);
  const Json headless = allocator.complete(service("h", {{"clusterIP", "None"}, {"ports", kPort}}), nullptr);
  EXPECT_TRUE(is_headless(headless));
  EXPECT_EQ(headless["spec"]["clusterIPs"], Json::array({"None"}));
  const Json external =
      allocator.complete(service("e", {{"type", "ExternalName"}, {"externalName", "x.org"}}), nullptr);
  EXPECT_FALSE(has(external, "spec.clusterIP"));
}

}  // namespace
}  // namespace weft::sandbox::test
