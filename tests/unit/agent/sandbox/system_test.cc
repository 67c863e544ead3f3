#include "agent/sandbox/system.h"

#include <gtest/gtest.h>

#include <map>

namespace weft::sandbox::test {
namespace {

std::map<std::string, Json> containers_of_nodes() {
  Plan plan;
  plan.name = "here";
  plan.nodes = 2;
  plan.programs = "/opt/weft";
  std::map<std::string, Json> out;
  for (const Json& pod : system_pods(Layout(plan))) out[pod["metadata"]["name"]] = pod["spec"]["containers"][0];
  return out;
}

TEST(SystemPods, each_node_has_an_agent_and_a_proxy) {
  std::vector<std::string> names;
  for (const auto& [name, container] : containers_of_nodes()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"weft-agent-node1", "weft-agent-node2", "weft-proxy-node1", "weft-proxy-node2"}));
}

TEST(SystemPods, an_agent_is_ready_when_its_own_report_says_so_not_another_nodes) {
  const auto containers = containers_of_nodes();
  for (const std::string node : {"node1", "node2"})
    EXPECT_EQ(containers.at("weft-agent-" + node)["readinessProbe"]["exec"]["command"],
              Json::array({"/opt/weft/weft-agent", "--is-ready", "/run/weft/sandbox/here/status/Agent." + node + ".json"}));
}

}  // namespace
}  // namespace weft::sandbox::test
