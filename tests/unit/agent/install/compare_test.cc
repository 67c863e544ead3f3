#include "agent/install/compare.h"

#include <fmt/format.h>

#include "agent/install/readiness.h"
#include "tests/unit/agent/install/rendered.h"

namespace weft::install {
namespace {

Node yaml(const std::string& text) {
  const auto read = read_again(text);
  return read.empty() ? Node() : read.front();
}

TEST(Compare, what_the_server_keeps_itself_makes_no_difference) {
  const Node live = yaml("metadata: {name: a, resourceVersion: '7', generation: 2, uid: x, managedFields: [{a: 1}]}\n"
                         "spec: {replicas: 2}\nstatus: {replicas: 1}\n");
  const Node applied = yaml("metadata: {name: a, resourceVersion: '9', generation: 3, uid: x}\nspec: {replicas: 2}\n");
  EXPECT_EQ(differences(live, applied), std::vector<Difference>{});
}

TEST(Compare, each_difference_has_its_path_and_both_values) {
  const Node live = yaml("metadata: {labels: {app.kubernetes.io/version: '1'}}\n"
                         "spec: {image: a, args: [x, z], gone: 1}\n");
  const Node applied = yaml("metadata: {labels: {app.kubernetes.io/version: '2'}}\n"
                            "spec: {image: b, args: [x], new: {c: true}}\n");
  const std::vector<Difference> wanted = {{"metadata.labels[app.kubernetes.io/version]", "1", "2"},
                                          {"spec.image", "a", "b"},
                                          {"spec.args[1]", "z", "-"},
                                          {"spec.gone", "1", "-"},
                                          {"spec.new", "-", "{\"c\": true}"}};
  const auto found = differences(live, applied);
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].path, wanted[i].path);
    EXPECT_EQ(found[i].before, wanted[i].before);
  }
  EXPECT_NE(found[4].after.find("true"), std::string::npos);
  EXPECT_EQ(to_string(found[1]), "spec.image: a -> b");
}

TEST(Compare, a_name_in_a_status_of_its_own_is_compared) {
  EXPECT_EQ(differences(yaml("spec: {status: a}\n"), yaml("spec: {status: b}\n")).size(), 1u);
}

TEST(Compare, long_values_are_clipped_to_a_line) {
  const auto found = differences(yaml("a: b\n"), yaml("a: \"" + std::string(5000, 'x') + "\\ny\"\n"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_LT(found[0].after.size(), 200u);
  EXPECT_EQ(found[0].after.find('\n'), std::string::npos);
}

TEST(Readiness, a_deployment_is_ready_when_its_newest_form_is_available_and_the_old_one_gone) {
  const char* form = "kind: Deployment\nmetadata: {{generation: 2}}\nspec: {{replicas: 2}}\n"
                     "status: {{observedGeneration: {}, replicas: {}, updatedReplicas: {}, availableReplicas: {}}}\n";
  const auto of = [&](int seen, int all, int updated, int available) {
    return readiness_of(yaml(fmt::format(fmt::runtime(form), seen, all, updated, available)));
  };
  EXPECT_TRUE(of(2, 2, 2, 2).ready);
  EXPECT_FALSE(of(1, 2, 2, 2).ready);
  EXPECT_EQ(of(2, 2, 2, 1).why, "1 of 2 available");
  EXPECT_EQ(of(2, 3, 1, 2).why, "1 of 2 updated");
  EXPECT_FALSE(of(2, 3, 2, 2).ready);
}

TEST(Readiness, a_daemon_set_waits_for_every_node) {
  const Node set = yaml("kind: DaemonSet\nmetadata: {generation: 1}\nstatus: {observedGeneration: 1, "
                        "desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2}\n");
  EXPECT_EQ(readiness_of(set).why, "2 of 3 available");
}

TEST(Readiness, definitions_namespaces_and_things_on_their_way_out) {
  EXPECT_FALSE(readiness_of(yaml("kind: CustomResourceDefinition\n")).ready);
  EXPECT_TRUE(readiness_of(yaml("kind: CustomResourceDefinition\n"
                                "status: {conditions: [{type: Established, status: 'True'}]}\n"))
                  .ready);
  EXPECT_FALSE(readiness_of(yaml("kind: Namespace\nstatus: {phase: Terminating}\n")).ready);
  EXPECT_TRUE(readiness_of(yaml("kind: ServiceAccount\n")).ready);
  EXPECT_FALSE(readiness_of(yaml("kind: ServiceAccount\nmetadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}\n")).ready);
}

TEST(Readiness, a_pod_says_what_it_waits_for) {
  const Node pod = yaml("kind: Pod\nstatus: {containerStatuses: [{name: weft-agent, ready: false, state: "
                        "{waiting: {reason: ImagePullBackOff, message: no such image}}}]}\n");
  EXPECT_EQ(readiness_of(pod).why, "weft-agent: ImagePullBackOff: no such image");
  const Node unscheduled = yaml("kind: Pod\nstatus: {conditions: [{type: PodScheduled, status: 'False', message: 0/2 "
                                "nodes are available}]}\n");
  EXPECT_EQ(trouble_of_pod(unscheduled), "0/2 nodes are available");
}

}  // namespace
}  // namespace weft::install
