// A node that boots (reference enrolment.md 6, rows 3, 4 and 12): what its Node object says, and that nothing
// of the mesh runs or speaks past the agent, however late that comes.
#include <chrono>
#include <thread>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;
using Json = nlohmann::json;

constexpr const char* kManifest = "/etc/kubernetes/manifests/fixed.yaml";

class BootTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
  }
  static std::string boot_of(const std::string& node) {
    return lab().get("", "node", node)["status"]["nodeInfo"]["bootID"];
  }
  static std::string boot_said_by(const std::string& pod) {
    const std::string captured = annotation("mesh", pod, "weft.mesh/captured");
    return captured.substr(0, captured.find('/'));
  }
  static std::string address(const std::string& pod) {
    const Json object = lab().get("mesh", "pod", pod);
    return object.is_null() ? "" : object["status"].value("podIP", "");
  }
  // A pod that no API server has made: kubelet's own, of a file on its node.
  static void place_static_pod() {
    const Answer placed = lab().in("node2", {"sh", "-c",
                                             "cat >" + std::string(kManifest) + " <<'END'\n" +
                                                 static_pod_manifest("mesh", "fixed") + "END\n"});
    ASSERT_TRUE(placed.ok()) << placed.err;
  }
  // From now on the agent comes to no node that is labelled so; the others' agents go on as they are.
  static void agents_avoid_late_nodes() {
    const Answer patched = lab().kubectl(
        {"patch", "daemonset", "weft-agent", "-n", "weft-system", "--type=strategic", "-p",
         R"({"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null},"template":{"spec":{"affinity":{"nodeAffinity":)"
         R"({"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":)"
         R"([{"key":"test/late","operator":"DoesNotExist"}]}]}}}}}}})"});
    ASSERT_TRUE(patched.ok()) << patched.err;
  }
  static void agents_are_as_before() {
    EXPECT_TRUE(
        lab()
            .kubectl({"patch", "daemonset", "weft-agent", "-n", "weft-system", "--type=json", "-p",
                      R"([{"op":"remove","path":"/spec/template/spec/affinity"},{"op":"replace","path":)"
                      R"("/spec/updateStrategy","value":{"type":"RollingUpdate","rollingUpdate":)"
                      R"({"maxSurge":0,"maxUnavailable":1}}}])"})
            .ok());
    EXPECT_TRUE(
        lab()
            .kubectl({"rollout", "status", "daemonset/weft-agent", "-n", "weft-system", "--timeout=60s"})
            .ok());
  }
  // Processes of these pods on node2.
  static std::string processes_of(const std::vector<std::string>& uids) {
    std::string words;
    for (const std::string& uid : uids) words += " -e pod" + uid;
    return lab().in("node2", {"sh", "-c", "grep -l" + words + " /proc/[0-9]*/cgroup 2>/dev/null"}).out;
  }
  // Counts on node1 what arrives there from pods of node2 for pods of the mesh and is not the mesh's own.
  static void watch_arrivals() {
    const std::string to = address("near") + ", " + address("client");
    const Answer added = lab().in(
        "node1",
        {"nft",
         "add table ip bootwatch; add chain ip bootwatch in { type filter hook forward priority -300; };"
         "add rule ip bootwatch in ip saddr 10.244.2.0/24 ip daddr { " +
             to + " } tcp dport != 15008 tcp sport != { 15008, 53 } counter"});
    ASSERT_TRUE(added.ok()) << added.err;
  }
  static int arrivals() {
    const std::string rules = lab().in("node1", {"nft", "list", "table", "ip", "bootwatch"}).out;
    const size_t at = rules.find("counter packets ");
    return at == std::string::npos ? -1 : std::atoi(rules.c_str() + at + 16);
  }
};

TEST_F(BootTest, a_node_says_that_it_captures_and_its_start_up_taint_is_taken_away) {
  for (const char* node : {"node1", "node2"})
    EXPECT_TRUE(eventually([&] { return capture_condition(node) == "True ProgramsAttached"; }))
        << capture_condition(node);
  ASSERT_TRUE(lab()
                  .kubectl({"taint", "node", "node1", "weft.mesh/agent-not-ready=:NoSchedule",
                            "dedicated=x:PreferNoSchedule"})
                  .ok());
  EXPECT_TRUE(eventually([] { return !has_startup_taint("node1"); }, seconds(10)));
  EXPECT_EQ(lab().get("", "node", "node1")["spec"]["taints"][0]["key"], "dedicated") << "another's stays";
  EXPECT_TRUE(lab().kubectl({"taint", "node", "node1", "dedicated-"}).ok());
}

TEST_F(BootTest, a_static_pod_of_an_enrolled_namespace_is_captured_and_its_mirror_says_so) {
  ASSERT_NO_FATAL_FAILURE(place_static_pod());
  EXPECT_TRUE(becomes_captured("mesh", "fixed-node2"))
      << lab().kubectl({"describe", "pod", "fixed-node2", "-n", "mesh"}).out;
  EXPECT_EQ(boot_said_by("fixed-node2"), boot_of("node2"));
  EXPECT_TRUE(works("mesh", "client", address("fixed-node2")));
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  EXPECT_TRUE(eventually([] { return is_refused(call("plain", "outsider", address("fixed-node2"))); }));
  EXPECT_TRUE(works("mesh", "client", address("fixed-node2")));
  remove_policy("peerauthentication", "default");
}

// node2 loses its power while all of the mesh runs, and boots; its agent does not come before the label goes.
class LateAgentTest : public BootTest {
 protected:
  static void make_a_world_that_calls() {
    policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
    ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }));
    ASSERT_NO_FATAL_FAILURE(place_static_pod());
    // Calls from its first moment on.
    apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: early, namespace: mesh, labels: {app: early}}\nspec:\n" +
        std::string(
            "  nodeName: node2\n  terminationGracePeriodSeconds: 1\n  containers:\n  - {name: tools, image: "
            "\"weft.local/tools:dev\", command: [sh, -c, \"while :; do curl -s -m 2 http://near.mesh:8888/; "
            "sleep "
            "0.1; done\"]}\n"));
    for (const char* pod : {"early", "fixed-node2"}) ASSERT_TRUE(becomes_captured("mesh", pod)) << pod;
  }
  static void cut_power_and_boot_without_agent() {
    const Answer managed = user().line("istioctl manifest apply --set nodeTaint=manage", seconds(180));
    ASSERT_TRUE(managed.ok()) << managed.out << managed.err;
    ASSERT_NO_FATAL_FAILURE(agents_avoid_late_nodes());
    ASSERT_TRUE(lab().cluster({"power-cut", "node2"}).ok());
    ASSERT_TRUE(lab().kubectl({"label", "node", "node2", "test/late=yes"}).ok());
    ASSERT_TRUE(eventually([] {
      const Answer ending =
          lab().kubectl({"get", "pods", "-n", "weft-system", "-l", "app=weft-agent", "--field-selector",
                         "spec.nodeName=node2", "-o", "jsonpath={.items[*].metadata.deletionTimestamp}"});
      return ending.ok() && !ending.out.empty();
    }));
    const Answer on = lab().cluster({"boot", "node2"});
    ASSERT_TRUE(on.ok()) << on.out << on.err;
  }
  static bool plugin_holds_pods() {
    return lab()
               .kubectl({"get", "events", "-n", "mesh", "--field-selector", "reason=FailedCreatePodSandBox",
                         "-o", "jsonpath={.items[*].message}"})
               .out.find("agent does not answer") != std::string::npos;
  }
  static void nothing_runs_or_speaks(const std::vector<std::string>& uids, seconds duration) {
    const auto end = std::chrono::steady_clock::now() + duration;
    while (std::chrono::steady_clock::now() < end) {
      EXPECT_EQ(processes_of(uids), "");
      EXPECT_FALSE(works("plain", "outsider", "far.mesh"));
      EXPECT_EQ(arrivals(), 0);
    }
  }
  static void let_the_agent_come() {
    ASSERT_TRUE(lab().kubectl({"label", "node", "node2", "test/late-"}).ok());
    EXPECT_TRUE(eventually([] { return capture_condition("node2") == "True ProgramsAttached"; }, seconds(40)))
        << capture_condition("node2");
    EXPECT_TRUE(eventually([] { return !has_startup_taint("node2"); }));
  }
  static void put_back() {
    lab().in("node1", {"nft", "delete", "table", "ip", "bootwatch"});
    lab().kubectl({"delete", "pod", "early", "new", "-n", "mesh", "--wait=false"});
    lab().kubectl({"delete", "pod", "stranger", "-n", "plain", "--wait=false"});
    lab().in("node2", {"rm", kManifest});
    remove_policy("peerauthentication", "default");
    agents_are_as_before();
    EXPECT_TRUE(user().line("istioctl manifest apply --set nodeTaint=remove", seconds(180)).ok());
  }
};

TEST_F(LateAgentTest, nothing_of_the_mesh_runs_or_speaks_after_a_boot_until_its_agent_captures_it) {
  ASSERT_NO_FATAL_FAILURE(make_a_world_that_calls());
  const std::string first_boot = boot_of("node2"), stale = annotation("mesh", "far", "weft.mesh/captured");
  ASSERT_EQ(boot_said_by("far"), first_boot);
  std::vector<std::string> uids = {
      lab().get("mesh", "pod", "fixed-node2")["metadata"]["annotations"]["kubernetes.io/config.mirror"]};
  for (const char* pod : {"far", "early"}) uids.push_back(lab().get("mesh", "pod", pod)["metadata"]["uid"]);
  for (const std::string& uid : uids) ASSERT_NE(processes_of({uid}), "") << uid;
  ASSERT_NO_FATAL_FAILURE(watch_arrivals());
  ASSERT_NO_FATAL_FAILURE(cut_power_and_boot_without_agent());
  EXPECT_NE(boot_of("node2"), first_boot);

  EXPECT_TRUE(eventually(plugin_holds_pods))
      << "weft-cni is on the node's disk, and no agent has run in this boot";
  EXPECT_TRUE(eventually([] { return capture_condition("node2").starts_with("False"); }, seconds(60)))
      << capture_condition("node2");
  EXPECT_TRUE(eventually([] { return has_startup_taint("node2"); }, seconds(30))) << "put back by control";
  EXPECT_FALSE(has_startup_taint("node1"));
  apply("apiVersion: v1\nkind: Pod\nmetadata: {name: new, namespace: mesh, labels: {app: new}}\nspec:\n" +
        std::string("  nodeSelector: {kubernetes.io/hostname: node2}\n  terminationGracePeriodSeconds: 1\n  "
                    "containers: "
                    "[{name: tools, image: \"weft.local/tools:dev\"}]\n"));
  nothing_runs_or_speaks(uids, seconds(5));
  EXPECT_EQ(annotation("mesh", "far", "weft.mesh/captured"), stale) << "nobody is there to withdraw it";
  EXPECT_FALSE(lab().get("mesh", "pod", "new")["spec"].contains("nodeName"))
      << "the taint keeps it from the node";

  ASSERT_NO_FATAL_FAILURE(let_the_agent_come());
  for (const char* pod : {"far", "early", "new", "fixed-node2"})
    EXPECT_TRUE(eventually([&] { return is_captured("mesh", pod) && boot_said_by(pod) == boot_of("node2"); },
                           seconds(60)))
        << pod << lab().kubectl({"describe", "pod", pod, "-n", "mesh"}).out;
  EXPECT_NE(annotation("mesh", "far", "weft.mesh/captured"), stale);
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh"); }));
  EXPECT_TRUE(is_refused(call("plain", "outsider", "far.mesh")));
  EXPECT_EQ(arrivals(), 0) << "from the first packet after power on all that the mesh said went by the mesh";

  // And the counter does count what is none of the mesh's.
  apply(pod_manifest("plain", "stranger", "node2"));
  ASSERT_TRUE(lab().has_ready_pods("plain", "app=stranger", 1));
  EXPECT_TRUE(is_refused(call("plain", "stranger", "near.mesh")));
  EXPECT_GT(arrivals(), 0);
  put_back();
}

}  // namespace
}  // namespace weft::test
