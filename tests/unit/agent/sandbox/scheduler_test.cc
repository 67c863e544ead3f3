#include "agent/sandbox/scheduler.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

const std::vector<std::string> kNodes{"node1", "node2"};

TEST(Scheduler, spreads_the_pods_of_one_owner) {
  const Json there = pod("a", "node1", "web", "h");
  EXPECT_EQ(choose_node(pod("b", "", "web", "h"), kNodes, {&there}), "node2");
}

TEST(Scheduler, prefers_the_emptier_node_when_the_owner_has_no_say) {
  const Json one = pod("x", "node1", "other", "h"), two = pod("y", "node1"), three = pod("z", "node2");
  EXPECT_EQ(choose_node(pod("b", "", "web", "h"), kNodes, {&one, &two, &three}), "node2");
}

TEST(Scheduler, does_not_count_pods_on_their_way_out) {
  const Json going = terminating(pod("a", "node1", "web", "h")), stays = pod("s", "node2", "web", "h");
  EXPECT_EQ(choose_node(pod("b", "", "web", "h"), kNodes, {&going, &stays}), "node1");
}

TEST(Scheduler, keeps_to_the_node_selector) {
  Json picky = pod("p", "");
  picky["spec"]["nodeSelector"] = {{"kubernetes.io/hostname", "node2"}};
  EXPECT_EQ(choose_node(picky, kNodes, {}), "node2");
  picky["spec"]["nodeSelector"] = {{"disk", "fast"}};
  EXPECT_EQ(choose_node(picky, kNodes, {}), "");
}

}  // namespace
}  // namespace weft::sandbox::test
