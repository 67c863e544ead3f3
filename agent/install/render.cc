#include "agent/install/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "agent/install/crd.h"
#include "agent/install/template.h"
#include "agent/parse/yaml.h"

extern const char* const kNamespacesTemplate;
extern const char* const kRbacTemplate;
extern const char* const kControlTemplate;
extern const char* const kAgentTemplate;
extern const char* const kProxyTemplate;
extern const char* const kGatewayTemplate;
extern const char* const kRemovalTemplate;

namespace weft::install {
namespace {

using objects::Node;

Node port_or_none(int64_t port) {
  return port == 0 ? Node() : Node::integer(port);
}

Values values_of(const Settings& settings) {
  const auto or_image = [&](const std::string& image) { return Node::string(image.empty() ? settings.image : image); };
  const std::string kept = settings_text(settings);
  return {{"SETTINGS", Node::string(kept)},
          {"IMAGE", Node::string(settings.image)},
          {"AGENT_IMAGE", or_image(settings.agent_image)},
          {"PROXY_IMAGE", or_image(settings.proxy_image)},
          {"PULL_POLICY", Node::string(settings.pull_policy)},
          {"CONTROL_REPLICAS", Node::integer(settings.control_replicas)},
          {"GATEWAY_REPLICAS", Node::integer(settings.gateway_replicas)},
          {"STATUS_NODE_PORT", port_or_none(settings.status_node_port)},
          {"HTTP2_NODE_PORT", port_or_none(settings.http2_node_port)},
          {"HTTPS_NODE_PORT", port_or_none(settings.https_node_port)},
          {"TRUST_DOMAIN", Node::string(settings.trust_domain)},
          {"CLUSTER", Node::string(settings.cluster)},
          {"CERTIFICATE_LIFETIME", Node::string(settings.certificate_lifetime)},
          {"LOG_LEVEL", Node::string(settings.log_level)},
          {"CNI_FAIL_OPEN", settings.cni_fail_mode == "open" ? Node::string("--cni-fail-open") : Node()},
          {"NODE_TAINT", Node::string(settings.node_taint)},
          {"NODE_TAINT_RIGHT", settings.node_taint == "off" ? Node() : Node::string("nodes")},
          {"SAME_NODE_MTLS", settings.same_node_mtls ? Node::string("--same-node-mtls") : Node()}};
}

void label(Node& object, const Settings& settings) {
  Node& labels = object["metadata"]["labels"];
  labels.set(kOwnerLabel, Node::string(std::string(kOwner)));
  labels.set(kPartLabel, Node::string(std::string(kPart)));
  labels.set("app.kubernetes.io/version", Node::string(settings.version));
}

void add(const char* text, const Values& values, const Settings& settings, std::vector<Node>& out) {
  const auto read = parse::read_yaml(text, "template");
  CHECK(read.findings.empty());
  for (const auto& document : read.documents) {
    Node object = fill(document.root, values);
    label(object, settings);
    out.push_back(std::move(object));
  }
}

// FNV-1a. Names of nodes may be longer than a pod's name has room for, and hold dots; the pod itself says which it is on.
std::string short_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

}  // namespace

std::vector<Node> render(const Settings& settings) {
  std::vector<Node> out;
  for (const CrdKind& kind : crd_kinds()) {
    out.push_back(crd_of(kind));
    label(out.back(), settings);
  }
  const Values values = values_of(settings);
  for (const char* text : {kNamespacesTemplate, kRbacTemplate, kControlTemplate, kAgentTemplate, kProxyTemplate,
                           kGatewayTemplate})
    add(text, values, settings, out);
  return out;
}

std::string rendered_yaml(const Settings& settings) {
  return objects::to_yaml(render(settings));
}

Node removal_pod(const Settings& settings, const std::string& node) {
  Values values = values_of(settings);
  values["NODE"] = Node::string(node);
  values["NODE_HASH"] = Node::string(short_hash(node));
  std::vector<Node> out;
  add(kRemovalTemplate, values, settings, out);
  return out.front();
}

}  // namespace weft::install
