#include "agent/sandbox/deployments.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

Json deployment(int replicas) {
  return Json{{"kind", "Deployment"},
              {"metadata", {{"name", "web"}, {"namespace", "dev"}}},
              {"spec",
               {{"replicas", replicas},
                {"selector", {{"matchLabels", {{"app", "web"}}}}},
                {"template",
                 {{"metadata", {{"labels", {{"app", "web"}}}}},
                  {"spec", {{"containers", Json::array({{{"name", "c"}, {"image", "cmssw/httpgo"}}})}}}}}}}};
}

// Pods of the deployment's present template, or of an older one.
Json fresh(const std::string& name, const Json& of) {
  return pod(name, "node1", "web", template_hash(of));
}
Json old(const std::string& name) {
  return pod(name, "node1", "web", "oldoldoldo");
}

TEST(Rollout, makes_all_pods_of_a_new_deployment_at_once) {
  const Rollout rollout = plan_rollout(deployment(3), {});
  EXPECT_EQ(rollout.create, 3u);
  EXPECT_TRUE(rollout.remove.empty());
}

TEST(Rollout, scales_down_by_removing_what_is_not_ready_first) {
  const Json wanted = deployment(1);
  const Json good = ready(fresh("good", wanted), "10.244.1.2"), bad = fresh("bad", wanted);
  EXPECT_EQ(plan_rollout(wanted, {&good, &bad}).remove, std::vector<std::string>{"bad"});
}

TEST(Rollout, replaces_one_pod_at_a_time_and_never_goes_below_the_wanted_number) {
  const Json wanted = deployment(2);
  const Json o1 = ready(old("o1"), "10.244.1.2"), o2 = ready(old("o2"), "10.244.1.3");
  const Rollout first = plan_rollout(wanted, {&o1, &o2});
  EXPECT_EQ(first.create, 1u);
  EXPECT_TRUE(first.remove.empty());
  const Json n1 = fresh("n1", wanted);
  const Rollout waiting = plan_rollout(wanted, {&o1, &o2, &n1});
  EXPECT_EQ(waiting.create, 0u);
  EXPECT_TRUE(waiting.remove.empty());
  const Json n1_ready = ready(n1, "10.244.1.4");
  const Rollout second = plan_rollout(wanted, {&o1, &o2, &n1_ready});
  EXPECT_EQ(second.create, 0u);
  EXPECT_EQ(second.remove.size(), 1u);
}

TEST(Rollout, removes_old_pods_that_never_got_ready_at_once) {
  const Json wanted = deployment(1);
  const Json stuck = old("stuck");
  const Rollout rollout = plan_rollout(wanted, {&stuck});
  EXPECT_EQ(rollout.create, 1u);
  EXPECT_EQ(rollout.remove, std::vector<std::string>{"stuck"});
}

TEST(Rollout, pods_on_their_way_out_do_not_count) {
  const Json wanted = deployment(1);
  const Json going = terminating(ready(fresh("a", wanted), "10.244.1.2"));
  EXPECT_EQ(plan_rollout(wanted, {&going}).create, 1u);
}

TEST(Rollout, recreate_waits_until_the_old_pods_are_gone) {
  Json wanted = deployment(1);
  wanted["spec"]["strategy"]["type"] = "Recreate";
  const Json before = ready(old("o"), "10.244.1.2");
  const Rollout first = plan_rollout(wanted, {&before});
  EXPECT_EQ(first.create, 0u);
  EXPECT_EQ(first.remove, std::vector<std::string>{"o"});
  const Json going = terminating(before);
  EXPECT_EQ(plan_rollout(wanted, {&going}).create, 0u);
  EXPECT_EQ(plan_rollout(wanted, {}).create, 1u);
}

TEST(Rollout, pods_are_named_and_owned_as_a_replica_set_would) {
  const Json wanted = deployment(1);
  const Json made = make_pod(wanted, "abcde");
  EXPECT_EQ(text_at(made, "metadata.name"), "web-" + template_hash(wanted) + "-abcde");
  EXPECT_EQ(deployment_of(made), "web");
  EXPECT_TRUE(is_owned(made, wanted));
  EXPECT_EQ(label_of(made, "app"), "web");
  EXPECT_EQ(text_at(made, "spec.serviceAccountName"), "default");
  Json scaled = wanted;
  scaled["spec"]["replicas"] = 5;
  EXPECT_EQ(template_hash(scaled), template_hash(wanted));
  scaled["spec"]["template"]["spec"]["hostname"] = "x";
  EXPECT_NE(template_hash(scaled), template_hash(wanted));
}

}  // namespace
}  // namespace weft::sandbox::test
