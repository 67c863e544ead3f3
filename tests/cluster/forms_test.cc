// Other forms of the cluster: dual stack (hybrid cgroups: hybrid_test.cc); and ends of half-made ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/cluster/kube_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;
using Json = nlohmann::json;

bool answers(const KubeLab& lab, const std::string& host) {
  return eventually(
      [&] {
        return lab.exec("default", "client", {"curl", "-sf", "-m", "5", "http://" + host}).ok();
      },
      seconds(20));
}

TEST(ClusterFormsTest, pods_and_services_of_a_dual_stack_cluster_answer_in_both_families) {
  const KubeLab lab("dual", {"--dual-stack"});
  ASSERT_EQ(lab.trouble(), "");
  ASSERT_EQ(apply_pair(lab), "");
  const Json addresses = lab.get("default", "pod", "server")["status"]["podIPs"];
  ASSERT_EQ(addresses.size(), 2U) << addresses;
  EXPECT_TRUE(addresses[1]["ip"].get<std::string>().starts_with("fd00:244:0:1:")) << addresses;
  const Json services = lab.get("default", "service", "server")["spec"]["clusterIPs"];
  ASSERT_EQ(services.size(), 2U) << services;
  EXPECT_TRUE(answers(lab, services[0].get<std::string>()));
  EXPECT_TRUE(answers(lab, "[" + services[1].get<std::string>() + "]"));
}

TEST(ClusterFormsTest, a_half_made_cluster_is_removed_by_the_next_up_and_by_down) {
  const std::string name = "half";
  {
    // Killed while it comes up: as soon as both nodes have their namespaces.
    Background up({std::string(WEFT_SOURCE_DIR) + "/scripts/cluster", "--name", name, "up"},
                  "/tmp/weft-half-up.log");
    ASSERT_TRUE(
        eventually([] { return std::filesystem::exists("/run/weft-cluster/half/nodes/node2/launcher.pid"); },
                   seconds(120)))
        << up.said();
  }
  EXPECT_NE(KubeLab::traces(name), "");
  const Answer down = cluster_command(name, {"down"}, seconds(60));
  EXPECT_TRUE(down.ok()) << down.out << down.err;
  EXPECT_EQ(KubeLab::traces(name), "");
  // Even when its own notes are gone.
  {
    const KubeLab lab(name, {"--nodes", "1"});
    ASSERT_EQ(lab.trouble(), "");
    std::filesystem::remove_all("/run/weft-cluster/half/cgroups");
    std::filesystem::remove_all("/run/weft-cluster/half/up");
    const Answer up = cluster_command(name, {"up", "--nodes", "1"}, seconds(120));
    EXPECT_TRUE(up.ok()) << up.out << up.err;
    EXPECT_NE(up.out.find("half-made or broken cluster"), std::string::npos) << up.out;
  }
  EXPECT_EQ(KubeLab::traces(name), "");
  std::filesystem::remove("/tmp/weft-half-up.log");
}

TEST(ClusterFormsTest, the_dockerfile_installs_every_library_that_the_programs_are_linked_to) {
  const char* bin = std::getenv("WEFT_BIN");
  ASSERT_NE(bin, nullptr) << "scripts/cluster test sets it";
  const Answer packages = run(
      {"sh", "-c",
       std::string("cd ") + bin + " && ldd weft-agent weft-proxy weftctl | awk '$2 == \"=>\" {print $3}' | " +
           "sort -u | while read -r l; do dpkg -S $l 2>/dev/null || dpkg -S /usr$l; done | cut -d: -f1 | "
           "sort -u"});
  ASSERT_NE(packages.out.find("libssl3\n"), std::string::npos) << packages.out << packages.err;
  std::ifstream in(std::string(WEFT_SOURCE_DIR) + "/manifests/image/Dockerfile");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string runtime = text.substr(text.rfind("FROM "));
  // Those of the base image, and what libcurl4 brings.
  const std::string brings = run({"sh", "-c",
                                  "apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts "
                                  "--no-breaks --no-replaces --no-enhances libcurl4 libstdc++6"})
                                 .out;
  std::istringstream names(packages.out);
  for (std::string name; std::getline(names, name);)
    EXPECT_TRUE(runtime.find(" " + name + " ") != std::string::npos || brings.find(name) != std::string::npos)
        << name;
}

TEST(ClusterFormsTest, what_cannot_be_is_refused_with_what_can) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"up", "--nodes", "0"}, "1 to 9"},
      {{"up", "--cgroup", "v3"}, "v2 or hybrid"},
      {{"up", "--proxy-mode", "ipvs"}, "nftables or iptables"},
      {{"up", "--gpu"}, "known: --nodes"},
      {{"kubectl", "get", "nodes"}, "is not up"},
      {{"power-cut", "node7"}, "is not up"},
      {{"dance"}, "unknown command"}};
  for (const auto& [words, says] : wrong) {
    const Answer answer = cluster_command("nowhere", words, seconds(20));
    EXPECT_NE(answer.exit_code, 0) << words.back();
    EXPECT_NE(answer.err.find(says), std::string::npos) << answer.out << answer.err;
  }
  EXPECT_EQ(KubeLab::traces("nowhere"), "");
}

}  // namespace
}  // namespace weft::test
