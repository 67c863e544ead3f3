#include "agent/cni_plugin/plugin.h"

#include <algorithm>

namespace weft::cni {
namespace {

Outcome versions(std::string_view config) {
  // Whatever the configuration is: which versions there are is asked before one is agreed upon.
  std::string said(kVersions.back());
  if (auto json = Json::parse(config); json) {
    const std::string asked = json->member("cniVersion").string_or("");
    if (std::ranges::find(kVersions, asked) != kVersions.end()) said = asked;
  }
  std::string out = "{\"cniVersion\":" + quote(said) + ",\"supportedVersions\":[";
  for (const std::string_view version : kVersions) {
    if (out.back() != '[') out += ',';
    out += quote(version);
  }
  return {0, out + "]}", ""};
}

Request request_of(const Environment& environment, const Config& config, Command command) {
  return {.command = command,
          .container_id = environment.container_id,
          .netns = environment.netns,
          .interface = environment.interface,
          .ns = argument(environment.args, "K8S_POD_NAMESPACE"),
          .name = argument(environment.args, "K8S_POD_NAME"),
          .uid = argument(environment.args, "K8S_POD_UID"),
          .addresses = addresses_of(config.previous)};
}

std::string missing(const Environment& environment) {
  if (environment.container_id.empty()) return "CNI_CONTAINERID is not set";
  if (environment.interface.empty()) return "CNI_IFNAME is not set";
  if (environment.netns.empty()) return "CNI_NETNS is not set";
  return "";
}

bool is_excluded(const Config& config, const Request& request) {
  // What no Kubernetes pod is, is none of the mesh either.
  return request.ns.empty() || std::ranges::find(config.excluded, request.ns) != config.excluded.end();
}

// ADD and CHECK: the pod is captured, or it is none of the mesh, or there is an error.
Outcome ask_about(const Environment& environment, const Config& config, Command command, const Ask& ask) {
  if (const std::string what = missing(environment); !what.empty())
    return fail_with(config.version, Code::kInvalidEnvironment, what);
  if (!config.previous.is_object())
    return fail_with(config.version, Code::kInvalidConfig,
                     "weft-cni needs a prevResult: it stands at the end of a list, behind the plugin that "
                     "makes the pod's interface");
  const std::string passed_on = command == Command::kAdd ? std::string(config.previous.text()) : "";
  const Request request = request_of(environment, config, command);
  if (is_excluded(config, request)) return {0, passed_on, ""};
  Code code = Code::kTryAgainLater;
  std::string why;
  if (auto answer = ask(config.socket, request); answer) {
    if (answer->ok) return {0, passed_on, ""};
    code = answer->code;
    why = "weft: pod " + request.ns + "/" + request.name + ": " + answer->message;
  } else {
    why = "weft: pod " + request.ns + "/" + request.name +
          " cannot be captured, its node's agent does not answer: " + base::describe(answer.error());
  }
  if (config.fail_open) return {0, passed_on, why + " (failMode open: the pod goes on outside the mesh)"};
  return fail_with(config.version, code, why);
}

}  // namespace

Outcome fail_with(std::string_view version, Code code, std::string_view message) {
  return {1,
          "{\"cniVersion\":" + quote(version.empty() ? kVersions.back() : version) +
              ",\"code\":" + std::to_string(static_cast<uint32_t>(code)) + ",\"msg\":" + quote(message) + "}",
          ""};
}

Outcome run_plugin(const Environment& environment, std::string_view text, const Ask& ask) {
  if (environment.command == "VERSION") return versions(text);
  const auto config = parse_config(text);
  if (!config) {
    const bool version = config.error().kind == base::ErrorKind::kUnsupported;
    return fail_with("", version ? Code::kIncompatibleVersion : Code::kInvalidConfig,
                     "weft: " + base::describe(config.error()));
  }
  if (environment.command == "ADD") return ask_about(environment, *config, Command::kAdd, ask);
  if (environment.command == "CHECK") return ask_about(environment, *config, Command::kCheck, ask);
  // STATUS speaks of this plugin's place in the list, not of the agent: a runtime that reads "not available"
  // reports the whole node as not ready, and its pods would leave all services because the mesh's agent
  // restarts.
  if (environment.command == "STATUS" || environment.command == "GC") return {};
  if (environment.command == "DEL") {
    // A pod can always end, whatever has become of the agent, which notices by itself.
    const Request request = request_of(environment, *config, Command::kDel);
    if (!environment.container_id.empty() && !is_excluded(*config, request))
      (void)ask(config->socket, request);
    return {};
  }
  return fail_with(config->version, Code::kInvalidEnvironment,
                   "weft: unknown CNI_COMMAND " + quote(environment.command));
}

}  // namespace weft::cni
