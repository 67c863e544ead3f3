// Paths of resources: no name leads out of its place.
#include "agent/kube/resource.h"

#include <gtest/gtest.h>

namespace weft::kube {
namespace {

TEST(Resource, the_core_group_lives_below_api_and_others_below_apis) {
  EXPECT_EQ(known_resource("v1", "Pod")->path(""), "/api/v1/pods");
  EXPECT_EQ(known_resource("v1", "Pod")->path("dev"), "/api/v1/namespaces/dev/pods");
  EXPECT_EQ(known_resource("apps/v1", "Deployment")->path("dev", "web"),
            "/apis/apps/v1/namespaces/dev/deployments/web");
  EXPECT_EQ(known_resource("networking.istio.io/v1beta1", "Gateway")->path("dev", "web", "status"),
            "/apis/networking.istio.io/v1beta1/namespaces/dev/gateways/web/status");
}

TEST(Resource, a_namespace_is_left_out_for_what_is_cluster_wide) {
  EXPECT_EQ(known_resource("v1", "Node")->path("dev", "a"), "/api/v1/nodes/a");
  EXPECT_EQ(known_resource("v1", "Namespace")->path("", "dev"), "/api/v1/namespaces/dev");
}

TEST(Resource, a_hostile_name_stays_in_its_segment) {
  EXPECT_EQ(known_resource("v1", "Secret")->path("a/b", "../x?y#z"),
            "/api/v1/namespaces/a%2Fb/secrets/..%2Fx%3Fy%23z");
  for (const char* bad : {"", ".", "..", "a/b", "a%2fb"}) EXPECT_FALSE(is_path_segment(bad)) << bad;
  EXPECT_TRUE(is_path_segment("system:node:a"));
  EXPECT_FALSE(is_path_segment(std::string(254, 'a')));
}

TEST(Resource, kinds_of_one_name_are_told_apart_by_their_group) {
  EXPECT_EQ(known_resource("gateway.networking.k8s.io/v1", "Gateway")->group, "gateway.networking.k8s.io");
  EXPECT_EQ(known_resource("networking.istio.io/v1", "Gateway")->group, "networking.istio.io");
  EXPECT_FALSE(known_resource("networking.istio.io/v2", "Gateway"));
  EXPECT_FALSE(known_resource("v1", "Gateway"));
}

TEST(Resource, api_versions_are_split_and_joined) {
  EXPECT_EQ(split_api_version("v1").group, "");
  EXPECT_EQ(split_api_version("apps/v1").version, "v1");
  EXPECT_EQ(known_resource("v1", "Pod")->api_version(), "v1");
  EXPECT_EQ(known_resource("apps/v1", "DaemonSet")->api_version(), "apps/v1");
}

}  // namespace
}  // namespace weft::kube
