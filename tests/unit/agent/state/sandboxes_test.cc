// What the node knows of its pods' sandboxes, against what their objects say.
#include <gtest/gtest.h>

#include "tests/support/state_world.h"

namespace weft::test {
namespace {

state::StateOptions kubernetes_options() {
  state::StateOptions out = node_options();
  out.netns_by_annotation = false;
  return out;
}

class SandboxesTest : public ::testing::Test {
 protected:
  SandboxesTest() : world_(kubernetes_options()) {
    world_.put(a_namespace("dev", {{"istio-injection", "enabled"}}));
    world_.put(a_pod("dev", "p", {.node = "node-1", .annotations = {{"weft.mesh/netns", "/proc/1/ns/net"}}}));
  }
  const model::Workload& look() {
    world_.look();
    return *world_.workload("dev", "p");
  }
  [[nodiscard]] std::string netns() {
    return world_.sandboxes().empty() ? "none" : world_.sandboxes()[0].netns;
  }
  World world_;
};

TEST_F(SandboxesTest, behind_an_api_server_nobody_sends_the_agent_into_anothers_namespace) {
  look();
  EXPECT_EQ(netns(), "");
}

TEST_F(SandboxesTest, a_new_sandbox_brings_its_addresses_before_the_status_does) {
  world_.state().set_sandboxes({{"uid-p", {"dev", "p", "/run/netns/cni-1", {ip("10.1.1.5")}}}});
  EXPECT_EQ(look().addresses, std::vector<base::Address>{ip("10.1.1.5")});
  EXPECT_EQ(netns(), "/run/netns/cni-1");
  // Made anew; the status still is that of the former.
  world_.put(a_pod("dev", "p", {.ip = "10.1.1.5", .node = "node-1"}));
  world_.state().set_sandboxes({{"uid-p", {"dev", "p", "/run/netns/cni-2", {ip("10.1.1.6")}}}});
  EXPECT_EQ(look().addresses, std::vector<base::Address>{ip("10.1.1.6")});
  EXPECT_EQ(netns(), "/run/netns/cni-2");
}

TEST_F(SandboxesTest, a_sandbox_that_was_found_is_known_by_the_uid_alone) {
  world_.put(a_pod("dev", "p", {.ip = "10.1.1.5", .node = "node-1"}));
  world_.state().set_sandboxes({{"uid-p", {"", "", "/run/netns/cni-1", {}}}});
  EXPECT_EQ(look().addresses, std::vector<base::Address>{ip("10.1.1.5")});
  EXPECT_EQ(netns(), "/run/netns/cni-1");
  world_.state().set_sandboxes({{"uid-other", {"", "", "/run/netns/cni-1", {}}}});
  look();
  EXPECT_EQ(netns(), "");
}

TEST_F(SandboxesTest, a_mirror_of_a_static_pod_is_believed_only_where_its_names_fit) {
  const auto mirror = [](const std::string& name) {
    return a_pod("dev", name, {.node = "node-1", .annotations = {{"kubernetes.io/config.mirror", "hash"}}});
  };
  world_.drop(objects::Kind::kPod, "dev", "p");
  world_.put(mirror("static-node-1")).put(mirror("liar"));
  world_.state().set_sandboxes({{"hash", {"dev", "static-node-1", "/run/netns/cni-1", {ip("10.1.1.5")}}}});
  world_.look();
  ASSERT_EQ(world_.sandboxes().size(), 2U);
  EXPECT_EQ(world_.sandboxes()[0], (state::PodSandbox{"dev", "liar", "uid-liar", ""}));
  EXPECT_EQ(world_.sandboxes()[1],
            (state::PodSandbox{"dev", "static-node-1", "uid-static-node-1", "/run/netns/cni-1"}));
  world_.state().set_sandboxes({{"hash", {"", "", "/run/netns/cni-1", {}}}});
  world_.look();
  EXPECT_EQ(world_.sandboxes()[1].netns, "") << "whose it is, nobody says";
  // The kubelet writes addresses of what it runs, and of nothing else.
  world_.put(a_pod("dev", "static-node-1",
                   {.ip = "10.1.1.5", .node = "node-1", .annotations = {{"kubernetes.io/config.mirror", "hash"}}}));
  world_.look();
  EXPECT_EQ(world_.sandboxes()[0].netns, "") << "the liar has none";
  EXPECT_EQ(world_.sandboxes()[1].netns, "/run/netns/cni-1");
}

TEST_F(SandboxesTest, a_pod_is_judged_by_name_and_uid_and_a_namespace_alone) {
  EXPECT_FALSE(world_.state().enrolment_of("dev", "p", "uid-p")) << "before the first look";
  look();
  EXPECT_TRUE(world_.state().enrolment_of("dev", "p", "uid-p")->enrolled);
  EXPECT_FALSE(world_.state().enrolment_of("dev", "p", "uid-of-one-before"));
  EXPECT_FALSE(world_.state().enrolment_of("dev", "q", "uid-q"));
  EXPECT_TRUE(world_.state().enrolment_of_namespace("dev")->enrolled);
  EXPECT_FALSE(world_.state().enrolment_of_namespace("prod"));
  world_.put(a_pod("prod", "r", {.node = "node-1"}));
  world_.look();
  EXPECT_FALSE(world_.state().enrolment_of("prod", "r", "uid-r")) << "its namespace may enrol it";
}

}  // namespace
}  // namespace weft::test
