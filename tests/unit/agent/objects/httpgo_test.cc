// The seed application's four files, as they are.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

std::vector<Decoded> decode_file(const std::string& name) {
  std::ifstream in(std::string(WEFT_SOURCE_DIR "/manifests/httpgo/") + name);
  std::stringstream text;
  text << in.rdbuf();
  return test::decode_yaml(text.str());
}

TEST(Httpgo, four_files_decode_without_finding) {
  size_t objects = 0;
  for (const char* name :
       {"httpgo.yaml", "httpgo-gateway.yaml", "httpgo-virtual-service.yaml", "httpgo-destinations.yaml"}) {
    for (const Decoded& decoded : decode_file(name)) {
      EXPECT_TRUE(decoded.object) << name;
      for (const Finding& finding : decoded.findings) ADD_FAILURE() << to_string(finding);
      ++objects;
    }
  }
  EXPECT_EQ(objects, 7u);
}

TEST(Httpgo, service_port_8888_leads_to_8888) {
  const auto decoded = decode_file("httpgo.yaml");
  ASSERT_EQ(decoded.size(), 4u);
  const auto service = as<Service>(decoded[0].object);
  ASSERT_TRUE(service);
  EXPECT_EQ(to_string(key_of(*service)), "Service dev/httpgo");
  EXPECT_EQ(service->selector, (Labels{{"app", "httpgo"}}));
  ASSERT_EQ(service->ports.size(), 1u);
  EXPECT_EQ(service->ports[0].name, "http");
  EXPECT_EQ(service->ports[0].port, 8888);
  EXPECT_EQ(service->ports[0].target_port, (PortReference{.number = 8888}));
  EXPECT_EQ(service->ports[0].mark, (Mark{14, 7}));
}

TEST(Httpgo, deployment_keeps_its_template) {
  const auto decoded = decode_file("httpgo.yaml");
  ASSERT_EQ(decoded.size(), 4u);
  const auto deployment = as<Deployment>(decoded[2].object);
  ASSERT_TRUE(deployment);
  EXPECT_EQ(deployment->replicas, 1u);
  EXPECT_EQ(deployment->template_spec.service_account, "httpgo-account");
  ASSERT_EQ(deployment->template_spec.containers.size(), 1u);
  EXPECT_EQ(deployment->template_spec.containers[0].image, "cmssw/httpgo");
  EXPECT_EQ(deployment->template_node.at({"metadata", "labels", "version"}).as_string(), "v1");
}

TEST(Httpgo, virtual_service_splits_in_halves) {
  const auto decoded = decode_file("httpgo-virtual-service.yaml");
  ASSERT_EQ(decoded.size(), 1u);
  const auto service = as<VirtualService>(decoded[0].object);
  ASSERT_TRUE(service);
  EXPECT_EQ(service->hosts, std::vector<std::string>{"*"});
  EXPECT_EQ(service->gateways, std::vector<std::string>{"httpgo-gateway"});
  ASSERT_EQ(service->http.size(), 1u);
  const HttpRoute& rule = service->http[0];
  EXPECT_EQ(rule.mark.line, 14u);
  ASSERT_EQ(rule.match.size(), 1u);
  EXPECT_EQ(rule.match[0].uri, (StringMatch{StringMatch::Form::kExact, "/httpgo"}));
  ASSERT_EQ(rule.route.size(), 2u);
  EXPECT_EQ(rule.route[0].subset, "v1");
  EXPECT_EQ(rule.route[1].subset, "v2");
  EXPECT_EQ(rule.route[1].port, 8888);
  EXPECT_EQ(rule.route[1].weight, 50u);
}

TEST(Httpgo, gateway_and_destination_rule_are_typed) {
  const auto gateway = as<Gateway>(decode_file("httpgo-gateway.yaml").at(0).object);
  ASSERT_TRUE(gateway);
  EXPECT_EQ(gateway->selector, (Labels{{"istio", "ingressgateway"}}));
  ASSERT_EQ(gateway->servers.size(), 1u);
  EXPECT_EQ(gateway->servers[0].port, 80);
  EXPECT_EQ(gateway->servers[0].protocol, "HTTP");
  EXPECT_FALSE(gateway->servers[0].unsupported);
  const auto rule = as<DestinationRule>(decode_file("httpgo-destinations.yaml").at(0).object);
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->host, "httpgo");
  ASSERT_EQ(rule->subsets.size(), 2u);
  EXPECT_EQ(rule->subsets[1].labels, (Labels{{"version", "v2"}}));
}

}  // namespace
}  // namespace weft::objects
