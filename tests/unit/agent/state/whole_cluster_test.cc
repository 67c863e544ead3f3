// What the role control tells objects: the whole cluster's word, not a node's.
#include <gtest/gtest.h>

#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

state::StateOptions control_options() {
  state::StateOptions out;
  out.whole_cluster = true;
  return out;
}

objects::ObjectPtr gateway_pod(const std::string& name, bool ready) {
  auto pod = a_pod("istio-system", name,
                   {.ip = "10.1.9.9",
                    .labels = {{"app", "istio-ingressgateway"},
                              {"istio", "ingressgateway"},
                              {"pod-template-hash", "5d8f7c9b4"}},
                    .owner_kind = "ReplicaSet",
                    .owner = "istio-ingressgateway-5d8f7c9b4"});
  pod->status.conditions.push_back({.type = "Ready", .status = ready ? "True" : "False"});
  return pod;
}

objects::ObjectPtr web_pod(const std::string& name, const std::string& redirection) {
  auto pod = a_pod("dev", name, {.ip = "10.1.1.1", .node = "node-1", .labels = {{"app", "web"}}});
  if (!redirection.empty()) pod->meta.annotations["ambient.istio.io/redirection"] = redirection;
  return pod;
}

objects::ObjectPtr policy() {
  auto out = named<objects::AuthorizationPolicy>("dev", "web");
  out->selector = {{"app", "web"}};
  out->rules.emplace_back();
  return out;
}

TEST(WholeCluster, a_gateway_is_programmed_with_its_ports_and_ready_pods) {
  World world(control_options());
  const Httpgo httpgo;
  world.put(httpgo.ns).put(httpgo.service).put(httpgo.gateway_service).put(httpgo.gateway);
  world.put(httpgo.virtual_service).put(httpgo.rule);
  world.look();
  EXPECT_EQ(world.said("Gateway", "dev", "httpgo-gateway", "Accepted").substr(0, 20), "False NoMatchingPods");
  world.put(gateway_pod("istio-ingressgateway-5d8f7c9b4-a", false));
  world.look();
  EXPECT_EQ(world.said("Gateway", "dev", "httpgo-gateway", "Programmed"),
            "False NoReadyPods: port 80, pod port 8080; 0/1 pods are ready");
  world.put(gateway_pod("istio-ingressgateway-5d8f7c9b4-b", true));
  world.look();
  EXPECT_EQ(world.said("Gateway", "dev", "httpgo-gateway", "Accepted"), "True Accepted: its selector names 2 pods");
  EXPECT_EQ(world.said("Gateway", "dev", "httpgo-gateway", "Programmed"),
            "True Programmed: port 80, pod port 8080; 1/2 pods are ready");
}

TEST(WholeCluster, a_rule_bound_to_a_gateway_is_in_force_there_in_the_name_of_its_owner) {
  World world(control_options());
  const Httpgo httpgo;
  world.put(httpgo.ns).put(httpgo.service).put(httpgo.gateway_service).put(httpgo.gateway);
  world.put(httpgo.virtual_service).put(httpgo.rule).put(gateway_pod("istio-ingressgateway-5d8f7c9b4-a", true));
  world.look();
  const std::string accepted = world.said("VirtualService", "dev", "httpgo", "Accepted");
  EXPECT_EQ(accepted, "True Accepted: in force: gateway istio-system/istio-ingressgateway, host * port 80");
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "ResolvedRefs").substr(0, 4), "True");
  world.drop(objects::Kind::kDestinationRule, "dev", "httpgo");
  world.look();
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "ResolvedRefs").substr(0, 5), "False")
      << "the gateway's routes name subsets that nobody defines";
  world.drop(objects::Kind::kGateway, "dev", "httpgo-gateway");
  world.look();
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "Accepted"), "True Accepted: not in force anywhere");
  EXPECT_TRUE(world.look().gateway_listeners.empty()) << "control serves nothing itself";
}

TEST(WholeCluster, a_policy_is_enforced_on_as_many_pods_as_agents_say_they_captured) {
  World world(control_options());
  world.put(Httpgo().ns).put(policy());
  world.look();
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "web", "Enforced"), "False NoMatchingPods: 0/0 pods that it selects");
  world.put(web_pod("a", "")).put(web_pod("b", "pending"));
  world.look();
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "web", "Enforced"),
            "False NotEnrolled: 0/2 pods that it selects; the others are not captured");
  world.put(web_pod("a", "enabled"));
  world.look();
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "web", "Enforced"),
            "False PartlyEnforced: 1/2 pods that it selects; the others are not captured");
  world.put(web_pod("b", "enabled"));
  world.look();
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "web", "Enforced"), "True Enforced: 2/2 pods that it selects");
  EXPECT_TRUE(world.sandboxes().empty());
}

TEST(WholeCluster, a_word_about_capture_from_outside_the_mesh_does_not_count) {
  World world(control_options());
  world.put(a_namespace("dev")).put(policy()).put(web_pod("a", "enabled"));
  world.look();
  EXPECT_EQ(world.said("AuthorizationPolicy", "dev", "web", "Enforced").substr(0, 17), "False NotEnrolled");
}

TEST(WholeCluster, behind_an_api_server_no_annotation_names_a_pod_s_namespace) {
  state::StateOptions options = node_options();
  options.netns_by_annotation = false;
  World world(options);
  auto pod = a_pod("dev", "a", {.ip = "10.1.1.1", .node = "node-1"});
  pod->meta.annotations["weft.mesh/netns"] = "/run/netns/another-pod";
  world.put(Httpgo().ns).put(pod);
  world.look();
  ASSERT_EQ(world.sandboxes().size(), 1u);
  EXPECT_TRUE(world.sandboxes()[0].netns.empty());
  EXPECT_EQ(world.sandboxes()[0].uid, "uid-a");
}

TEST(WholeCluster, a_refusal_from_an_api_server_is_told_at_the_object_s_uid_and_generation) {
  World world(control_options());
  objects::Finding finding{.code = "UnknownField", .path = "spec.htp", .message = "unknown field"};
  const objects::ObjectKey key{objects::Kind::kVirtualService, "dev", "httpgo"};
  world.state().fold(watch::ObjectFindings{key, {finding}, "networking.istio.io/v1", "u1", 4});
  world.look();
  const state::ObjectStatus* status = world.status("VirtualService", "dev", "httpgo");
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status->uid, "u1");
  EXPECT_EQ(status->generation, 4);
  EXPECT_EQ(status->api_version, "networking.istio.io/v1");
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "Accepted"),
            "False Refused: error: spec.htp: unknown field [UnknownField]; it has no effect");
  world.put(Httpgo().virtual_service);
  world.look();
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "Accepted"),
            "False Refused: error: spec.htp: unknown field [UnknownField]; the last good form stays in force");
  world.state().fold(watch::ObjectFindings{.key = key});
  world.look();
  EXPECT_EQ(world.said("VirtualService", "dev", "httpgo", "Accepted").substr(0, 4), "True");
  world.state().fold(watch::ObjectFindings{key, {finding}, "networking.istio.io/v1", "u1", 5});
  world.drop(objects::Kind::kVirtualService, "dev", "httpgo");
  world.look();
  EXPECT_EQ(world.status("VirtualService", "dev", "httpgo"), nullptr) << "its end takes the refusal back";
}

}  // namespace
}  // namespace weft::test
