#include "agent/install/render.h"

#include <set>

#include "tests/unit/agent/install/rendered.h"

namespace weft::install {
namespace {

std::vector<Node> rendered(const Settings& settings = plain_settings()) {
  return read_again(rendered_yaml(settings));
}

bool has_argument(const Node& container, std::string_view flag, std::string_view value) {
  const auto& words = container.at({"args"}).items();
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].as_string() != flag) continue;
    return value.empty() || (i + 1 < words.size() && words[i + 1].as_string() == value);
  }
  return false;
}

const Node& container_of(const Node& object, size_t index = 0) {
  return object.at({"spec", "template", "spec", "containers"}).items().at(index);
}

TEST(Render, the_objects_are_those_of_the_golden_file) {
  std::vector<Node> objects;
  for (Node& object : rendered())
    if (object.at({"kind"}).as_string() != "CustomResourceDefinition") objects.push_back(std::move(object));
  expect_golden(objects::to_yaml(objects), "installation.yaml");
}

TEST(Render, twice_the_same_settings_make_the_same_text) {
  EXPECT_EQ(rendered_yaml(plain_settings()), rendered_yaml(plain_settings()));
}

TEST(Render, what_an_object_needs_comes_before_it) {
  std::set<std::string> there;
  for (const Node& object : rendered()) {
    const std::string& ns = object.at({"metadata", "namespace"}).as_string();
    const std::string& kind = object.at({"kind"}).as_string();
    EXPECT_TRUE(ns.empty() || there.contains("Namespace/" + ns)) << kind << " " << name_of(object);
    const std::string& account = object.at({"spec", "template", "spec", "serviceAccountName"}).as_string();
    EXPECT_TRUE(account.empty() || there.contains("ServiceAccount/" + account)) << name_of(object);
    const Node& role = object.at({"roleRef"});
    EXPECT_TRUE(role.is_null() ||
                there.contains(role.at({"kind"}).as_string() + "/" + role.at({"name"}).as_string()))
        << name_of(object);
    there.insert(kind + "/" + name_of(object));
  }
}

TEST(Render, every_object_says_whose_it_is_and_of_which_version) {
  for (const Node& object : rendered()) {
    const Node& labels = object.at({"metadata", "labels"});
    EXPECT_EQ(labels.at({kOwnerLabel}).as_string(), kOwner) << name_of(object);
    EXPECT_EQ(labels.at({kPartLabel}).as_string(), kPart) << name_of(object);
    EXPECT_EQ(labels.at({"app.kubernetes.io/version"}).as_string(), "1.2.3") << name_of(object);
  }
}

TEST(Render, no_hole_is_left_and_no_value_is_null) {
  const std::string yaml = rendered_yaml(plain_settings());
  EXPECT_EQ(yaml.find("${"), std::string::npos);
  EXPECT_EQ(yaml.find(": null"), std::string::npos);
  EXPECT_EQ(yaml.find("- null"), std::string::npos);
}

TEST(Render, there_is_no_webhook_and_no_secret) {
  for (const Node& object : rendered()) {
    const std::string& kind = object.at({"kind"}).as_string();
    EXPECT_EQ(kind.find("Webhook"), std::string::npos);
    EXPECT_NE(kind, "Secret");
    EXPECT_NE(kind, "ConfigMap");
  }
}

TEST(Render, a_setting_reaches_the_objects_it_is_about_and_no_other) {
  Settings settings = plain_settings();
  for (const char* assignment : {"proxy.image=weft.local/proxy:2", "gateway.replicas=3", "gateway.nodePorts.http2=30080",
                                 "cni.failMode=open", "nodeTaint=manage", "sameNode=mtls", "trustDomain=example.org", "imagePullPolicy=Never"})
    ASSERT_TRUE(apply_setting(settings, assignment)) << assignment;
  const auto objects = rendered(settings);
  const Node& agent = container_of(find(objects, "DaemonSet", "weft-agent"));
  EXPECT_EQ(agent.at({"image"}).as_string(), "weft/weft:1.2.3");
  EXPECT_EQ(agent.at({"imagePullPolicy"}).as_string(), "Never");
  EXPECT_TRUE(has_argument(agent, "--same-node-mtls", ""));
  EXPECT_TRUE(has_argument(agent, "--trust-domain", "example.org"));
  EXPECT_TRUE(has_argument(agent, "--cni-fail-open", ""));
  EXPECT_TRUE(has_argument(container_of(find(objects, "Deployment", "weft-control")), "--node-taint", "manage"));
  EXPECT_EQ(container_of(find(objects, "DaemonSet", "weft-proxy")).at({"image"}).as_string(), "weft.local/proxy:2");
  const Node& gateway = find(objects, "Deployment", "istio-ingressgateway");
  EXPECT_EQ(gateway.at({"spec", "replicas"}).as_int(), 3);
  EXPECT_EQ(container_of(gateway, 1).at({"image"}).as_string(), "weft/weft:1.2.3");
  for (const Node& port : find(objects, "Service", "istio-ingressgateway").at({"spec", "ports"}).items())
    EXPECT_EQ(port.at({"nodePort"}).as_int(), port.at({"name"}).as_string() == "http2" ? 30080 : 0);
  for (const char* flag : {"--same-node-mtls", "--cni-fail-open"})
    EXPECT_FALSE(has_argument(container_of(find(rendered(), "DaemonSet", "weft-agent")), flag, ""));
}

// Reference httpgo.md 3: what people have in scripts.
TEST(Render, the_gateway_has_the_names_that_scripts_look_for) {
  const auto objects = rendered();
  const Node& service = find(objects, "Service", "istio-ingressgateway");
  EXPECT_EQ(service.at({"metadata", "namespace"}).as_string(), "istio-system");
  EXPECT_EQ(service.at({"spec", "type"}).as_string(), "LoadBalancer");
  std::map<std::string, int64_t> ports;
  for (const Node& port : service.at({"spec", "ports"}).items())
    ports[port.at({"name"}).as_string()] = port.at({"port"}).as_int();
  EXPECT_EQ(ports, (std::map<std::string, int64_t>{{"status-port", 15021}, {"http2", 80}, {"https", 443}}));
  const Node& labels =
      find(objects, "Deployment", "istio-ingressgateway").at({"spec", "template", "metadata", "labels"});
  EXPECT_EQ(labels.at({"istio"}).as_string(), "ingressgateway");
  EXPECT_EQ(labels.at({"app"}).as_string(), "istio-ingressgateway");
}

TEST(Render, a_removal_pod_names_its_node_and_has_a_name_that_fits) {
  const std::string node = "node-with.a-long.name." + std::string(200, 'x');
  const Node pod = removal_pod(plain_settings(), node);
  EXPECT_EQ(pod.at({"spec", "nodeName"}).as_string(), node);
  EXPECT_LE(name_of(pod).size(), 63u);
  EXPECT_NE(name_of(pod), name_of(removal_pod(plain_settings(), "other")));
  EXPECT_EQ(pod.at({"spec", "containers"}).items().at(0).at({"securityContext", "privileged"}).is_null(), true);
}

}  // namespace
}  // namespace weft::install
