#include "agent/sandbox/system.h"

#include "agent/sandbox/tokens.h"

extern const char* const kGatewayManifest;
extern const char* const kControlManifest;

namespace weft::sandbox {
namespace {

constexpr unsigned kNobody = 65534;  // who the proxies become
constexpr const char* kTokenVolume = "token";

Json token_volume() {
  return {{"name", kTokenVolume},
          {"projected",
           {{"sources", Json::array({{{"serviceAccountToken",
                                       {{"audience", "istio-ca"},
                                        {"expirationSeconds", kTokenLife.count()},
                                        {"path", "istio-token"}}}}})}}}};
}

Json pod_uid_variable() {
  return {{"name", "POD_UID"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.uid"}}}}}};
}

// The command lines of the node's two processes.
std::vector<std::string> agent_arguments(const Layout& layout, const std::string& node) {
  return {"--role",         "node",
          "--node",         node,
          "--manifests",    layout.manifests(),
          "--status-dir",   layout.status(),
          "--pin-root",     layout.pins(node),
          "--cgroup",       layout.kubepods(node),
          // Each node's own: two agents at one cgroup would be two wefts.
          "--kubelet-cgroup",
          layout.kubelet(node),
          "--proxy-socket", layout.node_dir(node) + "/proxy/proxy.sock",
          "--proxy-user",   std::to_string(kNobody),
          "--ca-address",   control_address(layout),
          "--ca-name",      kControlName,
          "--ca-root",      layout.trust_dir() + "/root-cert.pem",
          // A privileged pod sees its volumes where the kubelet has them.
          "--ca-token",     layout.pods() + "/$(POD_UID)/volumes/" + kTokenVolume + "/istio-token"};
}

std::vector<std::string> proxy_arguments(const Layout& layout, const std::string& node) {
  return {"--agent-socket", "/run/weft/proxy.sock", "--user",
          "nobody",         "--metrics-address",    layout.node_v4(layout.node_number(node)) + ":15020"};
}

// As on Kubernetes: ready once it has captured its pods, not as soon as it runs.
Json readiness_of_agent(const Layout& layout, const std::string& node) {
  return {{"exec",
           {{"command", Json::array({layout.plan().programs + "/weft-agent", "--is-ready",
                                     layout.status() + "/Agent." + node + ".json"})}}},
          {"periodSeconds", 5},
          {"timeoutSeconds", 5}};
}

Json system_pod(const std::string& name, const std::string& node, Json container) {
  return Json{{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata",
               {{"name", name + "-" + node},
                {"namespace", "weft-system"},
                {"labels", {{"app", name}}},
                {"ownerReferences", Json::array({{{"apiVersion", "apps/v1"},
                                                  {"kind", "DaemonSet"},
                                                  {"name", name},
                                                  {"uid", "ds-" + name},
                                                  {"controller", true}}})}}},
              {"spec",
               {{"nodeName", node},
                {"hostNetwork", true},
                {"serviceAccountName", name},
                {"terminationGracePeriodSeconds", 5},
                {"containers", Json::array({std::move(container)})}}}};
}

// Words in capitals stand for what only the sandbox knows.
std::string filled_in(std::string text, const Layout& layout) {
  const std::pair<std::string, std::string> kWords[] = {
      {"SANDBOX_STATE/", layout.state() + "/"},
      {"SANDBOX_CONTROL_IP", layout.service_v4(kControlServiceHost)},
      {"SANDBOX_CERTIFICATE_LIFETIME", layout.plan().certificate_lifetime}};
  for (const auto& [word, value] : kWords)
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + value.size()))
      text.replace(at, word.size(), value);
  return text;
}

}  // namespace

std::vector<Json> system_pods(const Layout& layout) {
  std::vector<Json> pods;
  for (const std::string& node : layout.node_names()) {
    Json agent = system_pod(
        "weft-agent", node,
        {{"name", "weft-agent"},
         {"image", "weft/agent"},
         {"args", agent_arguments(layout, node)},
         {"readinessProbe", readiness_of_agent(layout, node)},
         {"env", Json::array({pod_uid_variable()})},
         {"volumeMounts", Json::array({{{"name", kTokenVolume}, {"mountPath", "/run/secrets/tokens"}}})},
         // The machine's mounts, for other pods' namespaces, and three capabilities; no more.
         {"securityContext",
          {{"privileged", true},
           {"capabilities",
            {{"drop", Json::array({"ALL"})}, {"add", Json::array({"BPF", "NET_ADMIN", "SYS_ADMIN"})}}}}}});
    agent["spec"]["volumes"] = Json::array({token_volume()});
    pods.push_back(std::move(agent));
    Json proxy = system_pod("weft-proxy", node,
                            {{"name", "weft-proxy"},
                             {"image", "weft/proxy"},
                             {"args", proxy_arguments(layout, node)},
                             {"securityContext", {{"readOnlyRootFilesystem", true}}},
                             {"volumeMounts", Json::array({{{"name", "run"}, {"mountPath", "/run/weft"}}})}});
    proxy["spec"]["volumes"] =
        Json::array({{{"name", "run"}, {"hostPath", {{"path", layout.node_dir(node) + "/proxy"}}}}});
    pods.push_back(std::move(proxy));
  }
  return pods;
}

std::string control_address(const Layout& layout) {
  return layout.service_v4(kControlServiceHost) + ":15012";
}

std::string gateway_manifest(const Layout& layout) {
  return filled_in(kGatewayManifest, layout);
}

std::string control_manifest(const Layout& layout) {
  return filled_in(kControlManifest, layout);
}

}  // namespace weft::sandbox
