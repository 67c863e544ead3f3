// Proof of capture (reference enrolment.md 6, row 5): whatever takes the programs of a pod away behind the
// agent's back is noticed within ten seconds, said on the pod, and mended where it can be. And what a person
// with bpftool sees of it.
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <sstream>
#include <thread>

#include "bpf/abi/weft_abi.h"
#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kNoticed{10};
const std::string kPins = "/sys/fs/bpf/weft/v2", kPodLinks = kPins + "/links/pods";

class CaptureProofTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_world());
    if (!lab().get("proof", "pod", "one").is_null()) return;
    apply(namespace_manifest("proof", "weft.mesh/enabled: 'true'") + pod_manifest("proof", "one", "node1") +
          pod_manifest("proof", "two", "node1") + pod_manifest("proof", "three", "node1"));
    for (const char* pod : {"one", "two", "three"})
      ASSERT_TRUE(becomes_captured("proof", pod)) << lab().kubectl({"describe", "pods", "-n", "proof"}).out;
    ASSERT_TRUE(lab().has_ready_pods("proof", "app", 3));
  }
  static Answer node1(const std::string& script) { return lab().in("node1", {"bash", "-c", script}); }
  static json report() { return agent_report("node1"); }
  static int64_t counter(const std::string& name) {
    const json said = report();
    return said.value(json::json_pointer("/counters/" + name), int64_t{0}) +
           said.value(json::json_pointer("/kernel/counters/" + name), int64_t{0});
  }
  static std::string cookie(const std::string& pod) {
    const std::string proven = annotation("proof", pod, "weft.mesh/captured");
    return proven.substr(proven.find('/') + 1);
  }
  static std::string failures(const std::string& pod) {
    return lab()
        .kubectl({"get", "events", "-n", "proof", "--field-selector",
                  "reason=MeshCaptureFailed,involvedObject.name=" + pod, "-o",
                  "jsonpath={range .items[*]}{.type} {.message}{'\\n'}{end}"})
        .out;
  }
  // The states that the pod's annotation goes through, one in brackets each, beginning with that of now.
  static std::future<std::string> watched(const std::string& pod, int duration) {
    return std::async(std::launch::async, [pod, duration] {
      return lab()
          .kubectl({"get", "pod", pod, "-n", "proof", "--watch", "--request-timeout",
                    std::to_string(duration) + "s", "-o",
                    "jsonpath=[{.metadata.annotations.ambient\\.istio\\.io/redirection}]"})
          .out;
    });
  }
  static bool agent_is_ready() {
    const auto pods = lab().ready_pods("weft-system", "app=weft-agent");
    return std::ranges::any_of(pods, [](const json& pod) { return pod["spec"]["nodeName"] == "node1"; });
  }
};

TEST_F(CaptureProofTest,
       a_pods_program_that_is_detached_is_put_back_and_the_capture_is_said_to_have_been_lost) {
  const int64_t repaired = counter("repaired_link");
  auto seen = watched("one", 8);
  std::this_thread::sleep_for(seconds(1));
  const std::string link = kPodLinks + "/" + cookie("one");
  const Answer detached = node1("bpftool link detach pinned " + link);
  ASSERT_TRUE(detached.ok()) << detached.err;
  EXPECT_TRUE(eventually([&] { return counter("repaired_link") == repaired + 1; }, kNoticed));
  EXPECT_TRUE(eventually([] { return failures("one").find("Warning its link was missing") == 0; }, kNoticed))
      << failures("one");
  const std::string states = seen.get();
  EXPECT_NE(states.find("[enabled][][enabled]"), std::string::npos) << states;
  // Without the pin the kernel lets go of the program, too.
  ASSERT_TRUE(node1("rm " + link).ok());
  EXPECT_TRUE(eventually([&] { return counter("repaired_link") == repaired + 2; }, kNoticed));
  EXPECT_TRUE(eventually([&] { return node1("bpftool link show pinned " + link).ok(); }, kNoticed));
  EXPECT_TRUE(becomes_captured("proof", "one", kNoticed));
  EXPECT_TRUE(works("proof", "one", "far.mesh"));
}

TEST_F(CaptureProofTest, a_hook_of_the_node_that_is_detached_is_put_back_and_every_pod_of_it_is_proven_anew) {
  const int64_t repaired = counter("hooks_repaired");
  auto seen = watched("three", 8);
  std::this_thread::sleep_for(seconds(1));
  ASSERT_TRUE(node1("bpftool link detach pinned " + kPins + "/links/connect4").ok());
  EXPECT_TRUE(eventually([&] { return counter("hooks_repaired") == repaired + 1; }, kNoticed));
  EXPECT_TRUE(eventually([] { return failures("three").find("Warning") == 0; }, kNoticed))
      << failures("three");
  const std::string states = seen.get();
  EXPECT_NE(states.find("[enabled][][enabled]"), std::string::npos) << states;
  EXPECT_TRUE(works("proof", "three", "far.mesh"));
}

TEST_F(CaptureProofTest, what_cannot_be_put_back_is_said_by_pod_agent_and_metric_for_as_long_as_it_lasts) {
  const int64_t seconds_before = counter("uncaptured_pod_seconds_arming");
  // The agent is root without the right to pass by a file's mode.
  ASSERT_TRUE(
      node1("chmod 0500 " + kPodLinks + " && bpftool link detach pinned " + kPodLinks + "/" + cookie("two"))
          .ok());
  EXPECT_TRUE(eventually([] { return !is_captured("proof", "two"); }, kNoticed));
  EXPECT_TRUE(eventually([] { return failures("two").find("Warning") == 0; }, kNoticed));
  const json said = report();
  EXPECT_NE(said.dump().find("pin " + kPodLinks), std::string::npos) << "and why: " << said["pods"];
  EXPECT_FALSE(said.value("ready", true));
  EXPECT_LT(said.value(json::json_pointer("/counters/captured_pods"), 99),
            said.value(json::json_pointer("/counters/enrolled_pods"), 0));
  EXPECT_TRUE(is_captured("proof", "one")) << "the others are not touched";
  EXPECT_TRUE(eventually([] { return !agent_is_ready(); }, seconds(30))) << "three probes of five seconds";
  EXPECT_GE(counter("uncaptured_pod_seconds_arming"), seconds_before + 5);
  ASSERT_TRUE(node1("chmod 0700 " + kPodLinks).ok());
  EXPECT_TRUE(becomes_captured("proof", "two", kNoticed));
  EXPECT_TRUE(eventually(agent_is_ready, seconds(15)));
  EXPECT_TRUE(works("proof", "two", "far.mesh"));
}

TEST_F(CaptureProofTest,
       programs_that_are_attached_and_do_not_get_the_pods_connections_are_found_by_the_self_test) {
  // Somebody's rule in the pod's own namespace, where the way to the proxy ends.
  const auto of_pod = processes("proof", "app=three", "node1", "probe");
  ASSERT_FALSE(of_pod.empty());
  const std::string inside = "nsenter --net=/proc/" + std::to_string(of_pod.front()) + "/ns/net nft ";
  ASSERT_TRUE(
      run({"bash", "-c",
           inside +
               "'add table inet behind; add chain inet behind out { type filter hook output priority 0; }; "
               "add rule inet behind out oifname lo meta mark & 0x00800000 != 0 drop'"})
          .ok());
  EXPECT_TRUE(eventually([] { return !is_captured("proof", "three"); }, kNoticed));
  const json said = report();
  EXPECT_NE(said.dump().find("nobody answered the self-test"), std::string::npos) << said["pods"];
  EXPECT_FALSE(works("proof", "three", "far.mesh")) << "closed, not plain";
  ASSERT_TRUE(run({"bash", "-c", inside + "delete table inet behind"}).ok());
  EXPECT_TRUE(becomes_captured("proof", "three", kNoticed));
}

// The tables as a person on the node reads them: bpftool, and the fields' own names.
class InspectionTest : public CaptureProofTest {
 protected:
  // Entries of a pinned map: [{"key": {...}, "value": {...}}, ...], as bpftool prints them.
  static json dump(const std::string& map) {
    const Answer answer = node1("bpftool map dump pinned " + kPins + "/" + map);
    json entries = json::parse(answer.out, nullptr, false);
    EXPECT_TRUE(entries.is_array()) << map << ": " << answer.out.substr(0, 500) << answer.err;
    return entries.is_array() ? entries : json::array();
  }
  // An IPv4 address as the tables hold it.
  static json bytes_of(const std::string& v4) {
    std::array<int, 4> part{};
    char dot = 0;
    std::istringstream(v4) >> part[0] >> dot >> part[1] >> dot >> part[2] >> dot >> part[3];
    return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, part[0], part[1], part[2], part[3]};
  }
  static json find(const json& entries, const std::function<bool(const json&)>& is_it) {
    const auto found = std::ranges::find_if(entries, is_it);
    return found == entries.end() ? json() : *found;
  }
  static std::string name(int kind, const json& id) {
    const json entry =
        find(dump("names"), [&](const json& e) { return e["key"]["kind"] == kind && e["key"]["id"] == id; });
    return entry.is_null() ? "" : entry["value"]["text"].get<std::string>();
  }
};

TEST_F(InspectionTest, the_check_says_where_hooks_are_attached_and_finds_nothing_wrong) {
  std::string said;
  EXPECT_TRUE(eventually([&] {
    const Answer answer = user().line("istioctl check");
    said = answer.out + answer.err;
    return answer.ok();
  })) << said;
  EXPECT_NE(said.find("hooks are attached at /"), std::string::npos) << said;
  EXPECT_NE(said.find("kubepods"), std::string::npos) << said;
  EXPECT_NE(said.find("node1, node2"), std::string::npos) << said;
}

TEST_F(InspectionTest, bpftool_on_the_node_shows_pods_and_services_by_fields_that_can_be_read) {
  const std::string ip = lab().get("proof", "pod", "one")["status"]["podIP"];
  const json pod =
      find(dump("pods"), [&](const json& e) { return e["value"]["ipv4"]["bytes"] == bytes_of(ip); });
  ASSERT_FALSE(pod.is_null()) << ip << " is not in " << dump("pods").dump();
  EXPECT_EQ(std::to_string(pod["key"]["netns_cookie"].get<uint64_t>()), cookie("one"));
  for (const char* field : {"pod_id", "identity", "namespace_id", "flags", "listener_slot", "policy_kinds"})
    EXPECT_TRUE(pod["value"].contains(field)) << field;
  EXPECT_EQ(name(WEFT_NAME_IDENTITY, pod["value"]["identity"]), "proof/one");
  EXPECT_EQ(name(WEFT_NAME_NAMESPACE, pod["value"]["namespace_id"]), "proof");

  const std::string service_ip = lab().get("proof", "service", "one")["spec"]["clusterIP"];
  const json service = find(dump("services"), [&](const json& e) {
    return e["key"]["address"]["bytes"] == bytes_of(service_ip) && e["key"]["port"] == 7000;
  });
  ASSERT_FALSE(service.is_null()) << service_ip;
  EXPECT_EQ(service["key"]["protocol"], 6);
  EXPECT_EQ(service["value"]["backend_count"], 1);
  const json backend = find(dump("backends"), [&](const json& e) {
    return e["key"]["service_id"] == service["value"]["service_id"] &&
           e["key"]["generation"] == service["value"]["generation"];
  });
  ASSERT_FALSE(backend.is_null());
  EXPECT_EQ(backend["value"]["address"]["bytes"], bytes_of(ip));
  EXPECT_EQ(backend["value"]["port"], 7000);
  EXPECT_EQ(backend["value"]["pod_id"], pod["value"]["pod_id"]);
  const Answer programs = node1("bpftool link show pinned " + kPodLinks + "/" + cookie("one"));
  EXPECT_NE(programs.out.find("sk_lookup"), std::string::npos) << programs.out << programs.err;
}

}  // namespace
}  // namespace weft::test
