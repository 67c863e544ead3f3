// What becomes of connections of before: how the annotation comes from namespace and pod to the node's agent.
#include <gtest/gtest.h>

#include "agent/objects/annotations.h"
#include "agent/objects/served.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

using objects::kPreMeshAnnotation;

class PreMesh : public testing::Test {
 protected:
  void put_namespace(Labels annotations) {
    world.put(a_namespace("dev", {{"weft.mesh/enabled", "true"}}, std::move(annotations)));
  }
  void put_pod(Labels annotations) {
    world.put(a_pod("dev", "a", {.ip = "10.1.1.1", .node = "node-1", .annotations = std::move(annotations)}));
  }
  std::string policy() {
    world.look();
    return objects::to_string(world.sandboxes().at(0).pre_mesh);
  }
  [[nodiscard]] std::string problem() const { return world.node_pods().at(0).pre_mesh_problem; }
  World world;
};

TEST_F(PreMesh, connections_are_left_where_nothing_is_said) {
  put_namespace({});
  put_pod({});
  EXPECT_EQ(policy(), "leave");
  EXPECT_EQ(problem(), "");
}

TEST_F(PreMesh, the_namespaces_word_holds_for_its_pods_and_a_change_makes_no_new_snapshot) {
  put_namespace({{kPreMeshAnnotation, "drain=30s"}});
  put_pod({});
  EXPECT_EQ(policy(), "drain=30s");
  put_namespace({{kPreMeshAnnotation, "cut"}});
  EXPECT_EQ(policy(), "cut");
  EXPECT_FALSE(world.changed());
  put_pod({{kPreMeshAnnotation, "leave"}});
  EXPECT_EQ(policy(), "leave");
}

TEST_F(PreMesh, an_unknown_word_is_told_to_whoever_said_it_and_to_the_pod_and_leaves) {
  put_namespace({{kPreMeshAnnotation, "kill"}});
  put_pod({});
  EXPECT_EQ(policy(), "leave");
  EXPECT_TRUE(problem().starts_with("annotation weft.mesh/pre-mesh-connections of the namespace: expected leave")) << problem();
  EXPECT_EQ(world.said("Namespace", "", "dev", "PolicyValid"),
            "False InvalidValue: metadata.annotations[weft.mesh/pre-mesh-connections]: expected leave, cut or drain=TIME, "
            "found \"kill\"; until then it means leave");
  EXPECT_EQ(world.said("Pod", "dev", "a", "PreMeshPolicyValid"), "False InvalidValue: " + problem());
  put_pod({{kPreMeshAnnotation, "cut"}});
  EXPECT_EQ(policy(), "cut");
  EXPECT_EQ(world.said("Pod", "dev", "a", "PreMeshPolicyValid"), "");
}

TEST_F(PreMesh, what_an_api_server_hands_out_of_it_is_kept) {
  const auto pod = a_pod("dev", "a", {.annotations = {{kPreMeshAnnotation, "cut"}, {"kubectl.kubernetes.io/x", "y"}}});
  objects::reduce(*pod);
  EXPECT_EQ(pod->meta.annotations, (Labels{{kPreMeshAnnotation, "cut"}}));
}

}  // namespace
}  // namespace weft::test
