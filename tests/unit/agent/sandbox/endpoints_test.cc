#include "agent/sandbox/endpoints.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

Json web_service(Json target = 8888) {
  return service(
      "web", {{"selector", {{"app", "web"}}},
              {"ipFamilies", Json::array({"IPv4"})},
              {"ports", Json::array({{{"name", "http"}, {"port", 80}, {"targetPort", std::move(target)}}})}});
}

TEST(Endpoints, are_the_selected_pods_with_their_state) {
  const Json good = ready(pod("a", "node1"), "10.244.1.2");
  Json starting = ready(pod("b", "node2"), "10.244.2.2");
  starting["status"]["conditions"][0]["status"] = "False";
  const Json going = terminating(ready(pod("c", "node2"), "10.244.2.3"));
  Json other = ready(pod("d", "node1"), "10.244.1.9");
  other["metadata"]["labels"] = {{"app", "else"}};
  const auto slices = endpoint_slices(web_service(), {&good, &starting, &going, &other});
  ASSERT_EQ(slices.size(), 1u);
  const auto& endpoints = list_at(slices[0], "endpoints");
  ASSERT_EQ(endpoints.size(), 3u);
  EXPECT_EQ(endpoints[0]["conditions"], (Json{{"ready", true}, {"serving", true}, {"terminating", false}}));
  EXPECT_EQ(endpoints[1]["conditions"], (Json{{"ready", false}, {"serving", false}, {"terminating", false}}));
  EXPECT_EQ(endpoints[2]["conditions"], (Json{{"ready", false}, {"serving", true}, {"terminating", true}}));
  EXPECT_EQ(text_at(endpoints[0], "nodeName"), "node1");
  EXPECT_EQ(text_at(endpoints[0], "targetRef.name"), "a");
  EXPECT_EQ(label_of(slices[0], "kubernetes.io/service-name"), "web");
}

TEST(Endpoints, resolve_named_ports_pod_by_pod) {
  Json one = ready(pod("a", "node1"), "10.244.1.2"), two = ready(pod("b", "node1"), "10.244.1.3");
  one["spec"]["containers"][0]["ports"] = Json::array({{{"name", "web"}, {"containerPort", 8080}}});
  two["spec"]["containers"][0]["ports"] = Json::array({{{"name", "web"}, {"containerPort", 9090}}});
  const auto slices = endpoint_slices(web_service("web"), {&one, &two});
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_NE(int_at(slices[0], "ports.0.port"), int_at(slices[1], "ports.0.port"));
  EXPECT_NE(text_at(slices[0], "metadata.name"), text_at(slices[1], "metadata.name"));
}

TEST(Endpoints, of_a_service_without_pods_are_one_empty_slice) {
  const auto slices = endpoint_slices(web_service(), {});
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_TRUE(list_at(slices[0], "endpoints").empty());
  EXPECT_EQ(int_at(slices[0], "ports.0.port"), 8888);
}

TEST(Endpoints, come_in_one_slice_a_family) {
  Json dual = web_service();
  dual["spec"]["ipFamilies"] = Json::array({"IPv4", "IPv6"});
  const Json both = ready(pod("a", "node1"), "10.244.1.2", "fd00:10:244:1::2");
  const auto slices = endpoint_slices(dual, {&both});
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(text_at(slices[1], "addressType"), "IPv6");
  EXPECT_EQ(text_at(slices[1], "endpoints.0.addresses.0"), "fd00:10:244:1::2");
}

TEST(Endpoints, of_a_service_without_selector_are_left_to_others) {
  EXPECT_TRUE(endpoint_slices(service("x", {{"ports", Json::array({{{"port", 80}}})}}), {}).empty());
}

}  // namespace
}  // namespace weft::sandbox::test
