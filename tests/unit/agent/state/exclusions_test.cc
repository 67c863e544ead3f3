#include "agent/state/exclusions.h"

#include <gtest/gtest.h>

#include "tests/support/state_world.h"

namespace weft::test {
namespace {

constexpr const char* kOutPorts = "traffic.sidecar.istio.io/excludeOutboundPorts";
constexpr const char* kInPorts = "traffic.sidecar.istio.io/excludeInboundPorts";

std::shared_ptr<objects::CaptureExclusion> exclusion(const std::string& name, objects::Exclusions what,
                                                     Labels selector = {}, const std::string& ns = "dev") {
  auto out = named<objects::CaptureExclusion>(ns, name);
  out->selector = std::move(selector);
  out->exclusions = std::move(what);
  return out;
}

class Exclusions : public testing::Test {
 protected:
  Exclusions() { world.put(a_namespace("dev", {{"weft.mesh/enabled", "true"}})); }
  void put_pod(const std::string& name, Labels annotations, const std::string& node = "node-1",
               Labels labels = {}) {
    world.put(a_pod("dev", name,
                    {.ip = "10.1.1.1",
                     .node = node,
                     .labels = std::move(labels),
                     .annotations = std::move(annotations)}));
  }
  // Of the only local pod: "3306 | 10.9.0.0/16 | 80".
  std::string local() {
    const model::Snapshot& now = world.look();
    const model::LocalPod& pod = now.local_pods.at(0);
    std::string out;
    for (const uint16_t port : pod.excluded_ports) out += std::to_string(port) + " ";
    out += "|";
    for (const base::Cidr& range : pod.excluded_ranges) out += " " + range.to_string();
    out += " |";
    for (const uint16_t port : now.workloads.at(pod.workload).excluded_ports)
      out += " " + std::to_string(port);
    return out;
  }
  std::string pod_says(const std::string& name) { return world.said("Pod", "dev", name, "Excluded"); }
  World world;
};

TEST_F(Exclusions, a_pod_that_says_nothing_excludes_nothing_and_is_told_nothing) {
  put_pod("a", {});
  EXPECT_EQ(local(), "| |");
  EXPECT_EQ(pod_says("a"), "");
}

TEST_F(Exclusions, annotations_and_the_objects_that_select_the_pod_make_one_set) {
  put_pod("a", {{kOutPorts, "3306"}, {kInPorts, "80"}}, "node-1", {{"app", "a"}});
  world.put(exclusion("ours",
                      {.outbound_ports = {25}, .outbound_ranges = {*base::Cidr::parse("10.9.0.0/16")}},
                      {{"app", "a"}}));
  world.put(exclusion("others", {.outbound_ports = {26}}, {{"app", "b"}}));
  world.put(exclusion("elsewhere", {.outbound_ports = {27}}, {}, "ops"));
  EXPECT_EQ(local(), "25 3306 | 10.9.0.0/16 | 80");
  EXPECT_EQ(pod_says("a"), "True Excluded: outbound 25,3306,10.9.0.0/16; inbound 80");
  EXPECT_EQ(world.said("CaptureExclusion", "dev", "ours", "Accepted").substr(0, 4), "True");
  EXPECT_EQ(world.said("CaptureExclusion", "dev", "ours", "Enforced"),
            "True Enforced: 1 of 1 pods that it selects on this node");
  world.drop(objects::Kind::kCaptureExclusion, "dev", "ours");
  EXPECT_EQ(local(), "3306 | | 80");
  put_pod("a", {});
  EXPECT_EQ(local(), "| |");
}

TEST_F(Exclusions, arrivals_of_pods_elsewhere_are_known_here_and_their_calls_are_not) {
  put_pod("far", {{kOutPorts, "3306"}, {kInPorts, "80"}}, "node-2");
  world.look();
  EXPECT_EQ(world.workload("dev", "far")->excluded_ports, std::vector<uint16_t>{80});
}

TEST_F(Exclusions, a_pod_that_is_not_enrolled_has_nothing_to_leave_out) {
  world.put(a_namespace("dev", {}));
  put_pod("far", {{kInPorts, "80"}}, "node-2");
  put_pod("here", {{kInPorts, "80"}});
  world.look();
  EXPECT_TRUE(world.workload("dev", "far")->excluded_ports.empty());
  EXPECT_EQ(pod_says("here"), "False NotEnrolled: the pod is not captured at all");
}

TEST_F(Exclusions, what_cannot_be_read_excludes_nothing_and_the_pod_is_told) {
  put_pod("a", {{kOutPorts, "mysql"}, {kInPorts, "80"}});
  EXPECT_EQ(local(), "| |");
  EXPECT_TRUE(pod_says("a").starts_with(
      "False InvalidValue: annotation traffic.sidecar.istio.io/excludeOutboundPorts"))
      << pod_says("a");
  world.put(exclusion("o", {.inbound_ports = {90}}));
  EXPECT_EQ(local(), "| | 90") << "objects have a word of their own";
  EXPECT_NE(pod_says("a").find("excluded is inbound 90"), std::string::npos) << pod_says("a");
}

TEST_F(Exclusions, a_broken_object_says_why_and_excludes_nothing) {
  put_pod("a", {});
  auto broken = exclusion("o", {});
  broken->problem = "spec.outbound.cidrs[0]: expected an address range";
  world.put(broken);
  EXPECT_EQ(local(), "| |");
  EXPECT_EQ(world.said("CaptureExclusion", "dev", "o", "Accepted"),
            "False InvalidValue: spec.outbound.cidrs[0]: expected an address range");
  EXPECT_EQ(world.said("CaptureExclusion", "dev", "o", "Enforced").substr(0, 5), "False");
}

TEST_F(Exclusions, above_the_bound_of_a_pod_nothing_is_excluded) {
  put_pod("a", {{kInPorts, "80"}});
  for (uint16_t object = 0; object < 5; ++object) {
    objects::Exclusions many;
    for (uint16_t port = 1; port <= 60; ++port)
      many.outbound_ports.push_back(static_cast<uint16_t>(object * 100 + port));
    world.put(exclusion("o" + std::to_string(object), many));
  }
  EXPECT_EQ(local(), "| |");
  EXPECT_NE(pod_says("a").find("more than 256"), std::string::npos) << pod_says("a");
}

TEST(ExclusionsOfACluster, an_object_is_enforced_where_the_pods_node_says_so) {
  state::StateOptions options;
  options.whole_cluster = true;
  World world(options);
  world.put(a_namespace("dev", {{"weft.mesh/enabled", "true"}}));
  world.put(exclusion("o", {.outbound_ports = {25}}));
  const Labels captured = {{"ambient.istio.io/redirection", "enabled"}};
  Labels told = captured;
  told["weft.mesh/excluded"] = "outbound 25";
  world.put(a_pod("dev", "a", {.ip = "10.1.1.1", .node = "n1", .annotations = told}));
  world.put(a_pod("dev", "b", {.ip = "10.1.1.2", .node = "n2", .annotations = captured}));
  world.look();
  EXPECT_TRUE(world.said("CaptureExclusion", "dev", "o", "Enforced").starts_with("False PartlyEnforced: 1/2"))
      << world.said("CaptureExclusion", "dev", "o", "Enforced");
  world.put(a_pod("dev", "b", {.ip = "10.1.1.2", .node = "n2", .annotations = told}));
  world.look();
  EXPECT_TRUE(world.said("CaptureExclusion", "dev", "o", "Enforced").starts_with("True Enforced: 2/2"));
}

}  // namespace
}  // namespace weft::test
