#include "agent/cni_plugin/plugin.h"

#include <gtest/gtest.h>

#include "agent/cni_wire/json.h"

namespace weft::cni {
namespace {

const std::string kResult =
    R"({"cniVersion": "1.0.0",  )"
    R"("interfaces":[{"name":"cni0"},{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/a"}],)"
    R"("ips":[{"address":"10.244.0.7/24","interface":2},)"
    R"({"address":"10.9.9.9/24","interface":0},{"address":"fd00::7/64"}],"x":[1.50]})";

std::string config(const std::string& more = "", const std::string& version = "1.0.0",
                   const std::string& previous = kResult) {
  return R"({"cniVersion":")" + version + R"(","name":"net","type":"weft-cni")" + more +
         (previous.empty() ? "" : R"(,"prevResult":)" + previous) + "}";
}

Environment environment(const std::string& command, const std::string& ns = "dev") {
  return {.command = command,
          .container_id = "c1",
          .netns = "/run/netns/a",
          .interface = "eth0",
          .args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + ns +
                  ";K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u-1"};
}

// An agent that gives one answer and keeps what it was asked.
struct FakeAgent {
  base::Result<Answer> answer = Answer{.ok = true, .captured = true};
  std::vector<Request> asked;
  std::string socket;
  Ask ask() {
    return [this](const std::string& at, const Request& request) {
      socket = at;
      asked.push_back(request);
      return answer;
    };
  }
};

int code_of(const Outcome& outcome) {
  const auto json = Json::parse(outcome.out);
  return json ? json->member("code").as_count().value_or(-1) : -1;
}

TEST(CniPlugin, a_captured_pod_gets_the_result_of_the_plugin_before_unchanged) {
  FakeAgent agent;
  const Outcome outcome = run_plugin(environment("ADD"), config(), agent.ask());
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, kResult);
  ASSERT_EQ(agent.asked.size(), 1U);
  EXPECT_EQ(agent.socket, kDefaultSocket);
  EXPECT_EQ(agent.asked[0], (Request{.command = Command::kAdd,
                                     .container_id = "c1",
                                     .netns = "/run/netns/a",
                                     .interface = "eth0",
                                     .ns = "dev",
                                     .name = "web-0",
                                     .uid = "u-1",
                                     .addresses = {"10.244.0.7", "fd00::7"}}));
}

TEST(CniPlugin, a_silent_agent_keeps_the_pod_from_starting_so_that_it_is_tried_again) {
  FakeAgent agent{.answer = base::fail(base::ErrorKind::kTimeout, "nobody there")};
  const Outcome outcome = run_plugin(environment("ADD"), config(), agent.ask());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(code_of(outcome), 11);
  EXPECT_NE(outcome.out.find("dev/web-0"), std::string::npos);
  EXPECT_NE(outcome.out.find("nobody there"), std::string::npos);
  EXPECT_NE(outcome.out.find("\"cniVersion\":\"1.0.0\""), std::string::npos);
}

TEST(CniPlugin, fail_mode_open_lets_the_pod_start_and_says_so) {
  FakeAgent agent{.answer = base::fail(base::ErrorKind::kTimeout, "nobody there")};
  const Outcome outcome = run_plugin(environment("ADD"), config(R"(,"failMode":"open")"), agent.ask());
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, kResult);
  EXPECT_NE(outcome.note.find("outside the mesh"), std::string::npos);
}

TEST(CniPlugin, excluded_namespaces_and_containers_of_nobody_never_wait_for_the_agent) {
  FakeAgent agent{.answer = base::fail(base::ErrorKind::kTimeout, "nobody there")};
  for (const char* ns : {"kube-system", "weft-system"})
    EXPECT_EQ(run_plugin(environment("ADD", ns), config(), agent.ask()).out, kResult) << ns;
  Environment nobody = environment("ADD");
  nobody.args.clear();
  EXPECT_EQ(run_plugin(nobody, config(), agent.ask()).exit_code, 0);
  EXPECT_TRUE(agent.asked.empty());
  const std::string others = R"(,"excludeNamespaces":["ops"])";
  EXPECT_EQ(run_plugin(environment("ADD", "ops"), config(others), agent.ask()).exit_code, 0);
  EXPECT_EQ(run_plugin(environment("ADD", "kube-system"), config(others), agent.ask()).exit_code, 1);
}

TEST(CniPlugin, the_agents_refusal_carries_its_code_and_its_sentence) {
  FakeAgent agent{.answer = Answer{.code = Code::kNotCaptured, .message = "the rule is gone"}};
  const Outcome outcome = run_plugin(environment("CHECK"), config(), agent.ask());
  EXPECT_EQ(code_of(outcome), 100);
  EXPECT_NE(outcome.out.find("the rule is gone"), std::string::npos);
  agent.answer = Answer{.ok = true};
  EXPECT_EQ(run_plugin(environment("CHECK"), config(), agent.ask()).exit_code, 0);
  EXPECT_EQ(run_plugin(environment("CHECK"), config(), agent.ask()).out, "");
}

TEST(CniPlugin, a_pod_can_always_end) {
  FakeAgent agent{.answer = base::fail(base::ErrorKind::kTimeout, "nobody there")};
  Environment end = environment("DEL");
  end.netns.clear();
  const Outcome outcome = run_plugin(end, config("", "0.4.0", ""), agent.ask());
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "");
  ASSERT_EQ(agent.asked.size(), 1U);
  EXPECT_EQ(agent.asked[0].command, Command::kDel);
}

TEST(CniPlugin, status_speaks_of_the_configuration_since_a_node_is_ready_without_an_agent) {
  FakeAgent agent{.answer = base::fail(base::ErrorKind::kTimeout, "nobody there")};
  EXPECT_EQ(run_plugin(environment("STATUS"), config("", "1.1.0"), agent.ask()).exit_code, 0);
  EXPECT_EQ(
      code_of(run_plugin(environment("STATUS"), config(R"(,"failMode":"maybe")", "1.1.0"), agent.ask())), 7);
  EXPECT_TRUE(agent.asked.empty());
}

TEST(CniPlugin, version_is_answered_whatever_is_asked) {
  FakeAgent agent;
  for (const std::string& text :
       {std::string(R"({"cniVersion":"1.0.0"})"), std::string(R"({"cniVersion":"9.0.0"})"), std::string()}) {
    const Outcome outcome = run_plugin({.command = "VERSION"}, text, agent.ask());
    EXPECT_EQ(outcome.exit_code, 0);
    const auto json = Json::parse(outcome.out);
    ASSERT_TRUE(json) << outcome.out;
    EXPECT_EQ(json->member("supportedVersions").items().size(), kVersions.size());
  }
}

TEST(CniPlugin, what_is_wrong_has_the_code_of_the_specification) {
  FakeAgent agent;
  const auto code = [&](const Environment& env, const std::string& text) {
    return code_of(run_plugin(env, text, agent.ask()));
  };
  EXPECT_EQ(code(environment("ADD"), config("", "2.0.0")), 1);
  EXPECT_EQ(code(environment("ADD"), "{"), 7);
  EXPECT_EQ(code(environment("ADD"), config("", "1.0.0", "")), 7) << "not chained behind anything";
  EXPECT_EQ(code(environment("ADD"), config(R"(,"socket":"relative")")), 7);
  EXPECT_EQ(code(environment("ADD"), config(R"(,"excludeNamespaces":"x")")), 7);
  EXPECT_EQ(code(environment("FLY"), config()), 4);
  Environment incomplete = environment("ADD");
  incomplete.netns.clear();
  EXPECT_EQ(code(incomplete, config()), 4);
  EXPECT_TRUE(agent.asked.empty());
}

}  // namespace
}  // namespace weft::cni
