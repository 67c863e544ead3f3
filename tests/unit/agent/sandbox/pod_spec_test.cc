#include "agent/sandbox/pod_spec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/sandbox/cgroup.h"
#include "agent/sandbox/network.h"
#include "agent/sandbox/store.h"
#include "agent/sandbox/system.h"
#include "agent/sandbox/token_files.h"
#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

Layout layout() {
  return Layout(Plan{.name = "t", .nodes = 2, .programs = "/opt/weft", .cgroup_root = "/cg"});
}

TEST(PodSpec, resolv_conf_searches_the_pods_own_namespace_first) {
  EXPECT_EQ(resolv_conf(layout(), "dev"),
            "search dev.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.77.0.1\noptions "
            "ndots:5\n");
}

TEST(PodSpec, hosts_file_names_the_pod_and_its_aliases) {
  Json with = ready(pod("a", "node1"), "10.244.1.2", "fd00:10:244:1::2");
  with["spec"]["hostAliases"] =
      Json::array({{{"ip", "192.0.2.7"}, {"hostnames", Json::array({"db", "sql"})}}});
  const std::string text = hosts_file(with);
  for (const char* line :
       {"127.0.0.1\tlocalhost\n", "10.244.1.2\ta\n", "fd00:10:244:1::2\ta\n", "192.0.2.7\tsql\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
}

TEST(PodSpec, variables_expand_as_in_kubernetes) {
  const std::vector<std::string> env{"A=1", "A=2", "B=x y"};
  EXPECT_EQ(expand("$(A)-$(B)-$(C)-$$(A)-$A", env), "2-x y-$(C)-$(A)-$A");
  EXPECT_EQ(expand("$(A", env), "$(A");
}

TEST(PodSpec, environment_takes_values_and_fields_of_the_pod) {
  Json of = ready(pod("a", "node1"), "10.244.1.2");
  Json& container = of["spec"]["containers"][0];
  container["env"] = Json::array(
      {{{"name", "IP"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "status.podIP"}}}}}},
       {{"name", "APP"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.labels['app']"}}}}}},
       {{"name", "URL"}, {"value", "http://$(IP)/"}}});
  const auto env = container_env(layout(), of, container);
  for (const char* entry : {"IP=10.244.1.2", "APP=web", "URL=http://10.244.1.2/", "HOSTNAME=a"})
    EXPECT_NE(std::ranges::find(env, entry), env.end()) << entry;
}

TEST(PodSpec, command_replaces_the_entry_point_and_args_its_arguments) {
  const Image image{{"/bin/x"}, {"--default"}};
  EXPECT_EQ(container_argv(image, Json::object(), {}), (std::vector<std::string>{"/bin/x", "--default"}));
  EXPECT_EQ(container_argv(image, {{"args", Json::array({"-v"})}}, {}),
            (std::vector<std::string>{"/bin/x", "-v"}));
  EXPECT_EQ(container_argv(image, {{"command", Json::array({"sleep", "1"})}}, {}),
            (std::vector<std::string>{"sleep", "1"}));
}

TEST(PodSpec, host_network_pods_share_their_nodes_namespace) {
  Json of = pod("a", "node2");
  EXPECT_EQ(pod_netns(layout(), of), "/run/weft/sandbox/t/netns/a.uid-a");
  of["spec"]["hostNetwork"] = true;
  EXPECT_EQ(pod_netns(layout(), of), "/run/weft/sandbox/t/netns/node2");
  EXPECT_EQ(pod_cgroup(layout(), of), "/cg/weft-sandbox-t/node2/kubepods/poduid-a");
}

TEST(Images, are_found_whatever_registry_tag_or_digest_is_written) {
  const ImageTable table("/opt/weft", {{"weft/probe", "/opt/probe serve 80"}});
  for (const char* name : {"cmssw/httpgo", "cmssw/httpgo:latest", "docker.io/cmssw/httpgo:1.0.1",
                           "cmssw/httpgo@sha256:abcd", "docker.io/library/cmssw/httpgo:v1@sha256:abcd"})
    ASSERT_NE(table.find(name), nullptr) << name;
  EXPECT_EQ(table.find("cmssw/httpgo")->entrypoint, std::vector<std::string>{"/opt/weft/httpgo"});
  ASSERT_NE(table.find("weft/probe:1"), nullptr);
  EXPECT_EQ(table.find("weft/probe")->entrypoint.size(), 3u);
  EXPECT_EQ(table.find("nginx"), nullptr);
  EXPECT_EQ(bare_image_name("registry:5000/a/b:2"), "registry:5000/a/b");
}

TEST(Layout, keeps_the_ranges_of_two_sandboxes_apart) {
  const Layout first(Plan{.name = "a", .index = 0, .nodes = 15}),
      second(Plan{.name = "b", .index = 1, .nodes = 1});
  EXPECT_EQ(first.pod_cidr_v4(15), "10.244.15.0/24");
  EXPECT_EQ(second.pod_cidr_v4(1), "10.244.17.0/24");
  EXPECT_EQ(second.service_cidr_v4(), "10.97.0.0/16");
  EXPECT_EQ(first.node_v4(2), "10.77.0.12");
  EXPECT_EQ(second.node_v4(1), "10.77.1.11");
  EXPECT_EQ(first.node_number("node3"), 3u);
  EXPECT_EQ(second.node_number("node2"), 0u);
}

TEST(Layout, refuses_names_that_could_reach_outside) {
  for (const char* name : {"", "A", "a/b", "..", "-a", "a-", "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
    EXPECT_FALSE(check_name(name)) << name;
  EXPECT_TRUE(check_name("demo-2"));
}

TEST(Network, every_node_has_a_route_to_the_pods_of_every_other) {
  const Layout three(Plan{.name = "t", .nodes = 3, .dual_stack = true});
  const std::string text = node_commands(three, 2);
  EXPECT_NE(text.find("route add 10.244.1.0/24 via 10.77.0.11\n"), std::string::npos) << text;
  EXPECT_NE(text.find("route add fd00:10:244:3::/64 via fd00:10:77:0::d\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("route add 10.244.2.0/24"), std::string::npos) << text;
}

TEST(Cgroup, the_v2_mount_is_found_wherever_it_is) {
  EXPECT_EQ(
      cgroup2_mount("tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"),
      "/sys/fs/cgroup/unified");
  EXPECT_EQ(cgroup2_mount("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"), "");
}

TEST(Gateway, manifest_carries_the_names_that_scripts_look_for) {
  const auto objects = read_manifests(gateway_manifest(layout()), "gateway.yaml");
  ASSERT_TRUE(objects.has_value()) << objects.error().what;
  ASSERT_EQ(objects->size(), 3u);
  const Json& gateway_service = (*objects)[1];
  EXPECT_EQ(text_at(gateway_service, "metadata.name"), "istio-ingressgateway");
  EXPECT_EQ(text_at(gateway_service, "spec.ports.1.name"), "http2");
  EXPECT_EQ(text_at((*objects)[2], "spec.template.metadata.labels.istio"), "ingressgateway");
  EXPECT_EQ(text_at((*objects)[2], "spec.template.spec.volumes.1.hostPath.path"),
            "/run/weft/sandbox/t/manifests");
}

TEST(SystemPods, a_nodes_agent_has_a_token_of_its_own_and_knows_where_control_is) {
  for (const Json& pod : system_pods(layout())) {
    if (!text_at(pod, "metadata.name").starts_with("weft-agent-")) continue;
    EXPECT_EQ(text_at(pod, "spec.serviceAccountName"), "weft-agent");
    EXPECT_EQ(text_at(pod, "spec.volumes.0.projected.sources.0.serviceAccountToken.audience"), "istio-ca");
    Json placed = pod;
    placed["metadata"]["uid"] = "uid-1";
    const Json& container = placed["spec"]["containers"][0];
    const auto argv = container_argv({{"/bin/agent"}, {}}, container, container_env(layout(), placed, container));
    const auto token = std::ranges::find(argv, "--ca-token"), address = std::ranges::find(argv, "--ca-address");
    ASSERT_TRUE(token < argv.end() - 1 && address < argv.end() - 1);
    EXPECT_EQ(*(token + 1), projected_dir(layout(), placed, "token") + "/istio-token");
    EXPECT_EQ(*(address + 1), control_address(layout()));
  }
}

TEST(Control, manifest_has_a_fixed_address_a_user_of_its_own_and_no_right) {
  Plan plan = layout().plan();
  plan.certificate_lifetime = "2m";
  const auto objects = read_manifests(control_manifest(Layout(plan)), "control.yaml");
  ASSERT_TRUE(objects.has_value()) << objects.error().what;
  ASSERT_EQ(objects->size(), 3u);
  EXPECT_EQ(text_at((*objects)[1], "spec.clusterIP") + ":15012", control_address(Layout(plan)));
  const Json& container = at((*objects)[2], "spec.template.spec.containers.0");
  EXPECT_EQ(int_at(container, "securityContext.runAsUser"), kControlUser);
  EXPECT_EQ(at(container, "securityContext.capabilities.drop"), Json::array({"ALL"}));
  EXPECT_FALSE(bool_at(container, "securityContext.allowPrivilegeEscalation", true));
  const Json& args = at(container, "args");
  const auto life = std::ranges::find(args, "--certificate-lifetime");
  ASSERT_TRUE(life != args.end() && life + 1 != args.end());
  EXPECT_EQ(*(life + 1), "2m");
  EXPECT_EQ(args.dump().find("SANDBOX"), std::string::npos);
}

TEST(Plan, lives_of_certificates_have_a_unit_and_bounds) {
  for (const char* good : {"10s", "2m", "24h", "2160h"}) EXPECT_TRUE(check_lifetime(good)) << good;
  for (const char* bad : {"", "2", "m", "9s", "2161h", "-2m", "2 m", "2m ", "2d", "99999999999999999999h"})
    EXPECT_FALSE(check_lifetime(bad)) << bad;
}

TEST(Plan, a_saved_plan_reads_back) {
  Plan plan = layout().plan();
  plan.certificate_lifetime = "90s";
  const auto read = Plan::from_json(plan.to_json());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->certificate_lifetime, "90s");
}

}  // namespace
}  // namespace weft::sandbox::test
