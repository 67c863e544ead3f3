#include "agent/install/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/objects/values.h"

namespace weft::install {
namespace {

base::Status invalid(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, std::move(what));
}

template <std::string Settings::* kField>
base::Status set_text(Settings& settings, const std::string& value) {
  if (value.empty()) return invalid("a value is expected");
  settings.*kField = value;
  return {};
}

template <std::string Settings::* kField>
std::string show_text(const Settings& settings) {
  return settings.*kField;
}

// The empty text is good too: the value of another key holds then.
template <std::string Settings::* kField>
base::Status set_optional(Settings& settings, const std::string& value) {
  settings.*kField = value;
  return {};
}

template <int64_t Settings::* kField, int64_t kLeast, int64_t kMost>
base::Status set_number(Settings& settings, const std::string& value) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < kLeast || number > kMost)
    return invalid(fmt::format("\"{}\" is no number from {} to {}", value, kLeast, kMost));
  settings.*kField = number;
  return {};
}

// The range a cluster gives node ports from is its own setting: only what is no port at all is refused here.
template <int64_t Settings::* kField>
constexpr auto set_port = set_number<kField, 0, 65535>;

template <int64_t Settings::* kField>
std::string show_number(const Settings& settings) {
  return std::to_string(settings.*kField);
}

base::Status one_of(const std::string& value, std::string_view words, std::string Settings::* field,
                    Settings& settings) {
  const auto all = objects::split_words(words);
  if (std::ranges::find(all, value) == all.end())
    return invalid(fmt::format("\"{}\" is none of {}", value, fmt::join(all, ", ")));
  settings.*field = value;
  return {};
}

base::Status set_pull_policy(Settings& settings, const std::string& value) {
  return one_of(value, "Always|IfNotPresent|Never", &Settings::pull_policy, settings);
}

base::Status set_log_level(Settings& settings, const std::string& value) {
  return one_of(value, "trace|debug|info|warn|error|off", &Settings::log_level, settings);
}

base::Status set_fail_mode(Settings& settings, const std::string& value) {
  return one_of(value, "closed|open", &Settings::cni_fail_mode, settings);
}

base::Status set_node_taint(Settings& settings, const std::string& value) {
  return one_of(value, "remove|manage|off", &Settings::node_taint, settings);
}

base::Status set_same_node(Settings& settings, const std::string& value) {
  if (value != "mtls" && value != "kernel") return invalid(fmt::format("\"{}\" is none of kernel, mtls", value));
  settings.same_node_mtls = value == "mtls";
  return {};
}

std::string show_same_node(const Settings& settings) {
  return settings.same_node_mtls ? "mtls" : "kernel";
}

// Scripts written for Istio name one; there is one.
base::Status set_profile(Settings&, const std::string& value) {
  if (value == "default") return {};
  return invalid(fmt::format("there is no profile \"{}\", only default: the keys below it say what may be changed", value));
}

std::string show_profile(const Settings&) {
  return "default";
}

constexpr std::array kKeys = {
    SettingKey{"profile", "accepted for Istio's sake", set_profile, show_profile},
    SettingKey{"image", "image of every part", set_text<&Settings::image>, show_text<&Settings::image>},
    SettingKey{"agent.image", "image of DaemonSet weft-agent, where it is another", set_optional<&Settings::agent_image>,
               show_text<&Settings::agent_image>},
    SettingKey{"proxy.image", "image of DaemonSet weft-proxy, where it is another", set_optional<&Settings::proxy_image>,
               show_text<&Settings::proxy_image>},
    SettingKey{"imagePullPolicy", "Always, IfNotPresent or Never", set_pull_policy, show_text<&Settings::pull_policy>},
    SettingKey{"control.replicas", "of Deployment weft-control", set_number<&Settings::control_replicas, 1, 100>,
               show_number<&Settings::control_replicas>},
    SettingKey{"gateway.replicas", "of Deployment istio-ingressgateway", set_number<&Settings::gateway_replicas, 0, 1000>,
               show_number<&Settings::gateway_replicas>},
    SettingKey{"gateway.nodePorts.status-port", "node port of the gateway's readiness; 0: the cluster chooses",
               set_port<&Settings::status_node_port>, show_number<&Settings::status_node_port>},
    SettingKey{"gateway.nodePorts.http2", "node port of HTTP; 0: the cluster chooses",
               set_port<&Settings::http2_node_port>, show_number<&Settings::http2_node_port>},
    SettingKey{"gateway.nodePorts.https", "node port of HTTPS; 0: the cluster chooses",
               set_port<&Settings::https_node_port>, show_number<&Settings::https_node_port>},
    SettingKey{"trustDomain", "of the mesh's identities", set_text<&Settings::trust_domain>,
               show_text<&Settings::trust_domain>},
    SettingKey{"cluster", "what agents call this cluster when they ask for certificates", set_text<&Settings::cluster>,
               show_text<&Settings::cluster>},
    SettingKey{"certificateLifetime", "of workloads: 2m, 24h", set_text<&Settings::certificate_lifetime>,
               show_text<&Settings::certificate_lifetime>},
    SettingKey{"sameNode", "how pods of one node are told apart: kernel, or mtls", set_same_node, show_same_node},
    SettingKey{"cni.failMode", "new pods while a node's agent cannot be asked: closed (they wait), or open (outside the mesh)",
               set_fail_mode, show_text<&Settings::cni_fail_mode>},
    SettingKey{"nodeTaint", "weft.mesh/agent-not-ready of nodes: remove, manage (also put back), or off", set_node_taint,
               show_text<&Settings::node_taint>},
    SettingKey{"logLevel", "trace, debug, info, warn, error or off", set_log_level, show_text<&Settings::log_level>},
};

const SettingKey* find_key(std::string_view key) {
  const auto found = std::ranges::find(kKeys, key, &SettingKey::key);
  return found == kKeys.end() ? nullptr : found;
}

base::Status unknown_key(std::string_view key) {
  std::vector<std::string_view> names;
  for (const SettingKey& known : kKeys) names.push_back(known.key);
  const std::string_view meant = objects::closest(key, names);
  if (!meant.empty()) return invalid(fmt::format("unknown setting \"{}\", did you mean \"{}\"?", key, meant));
  return invalid(fmt::format("unknown setting \"{}\", expected one of {}", key, fmt::join(names, ", ")));
}

}  // namespace

Settings default_settings(std::string_view version) {
  Settings settings;
  settings.version = version;
  settings.image = fmt::format("weft/weft:{}", version);
  return settings;
}

std::span<const SettingKey> setting_keys() {
  return kKeys;
}

base::Status apply_setting(Settings& settings, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) return invalid(fmt::format("--set {}: use KEY=VALUE", assignment));
  const std::string key = assignment.substr(0, equals), value = assignment.substr(equals + 1);
  const SettingKey* known = find_key(key);
  if (!known) return unknown_key(key);
  // No value needs one, and each ends up as one argument of a program, or as a label's value.
  const bool odd = std::ranges::any_of(value, [](unsigned char c) { return c <= ' ' || c >= 127; });
  auto done = odd ? invalid("blanks and control characters are not taken") : known->set(settings, value);
  if (!done) done.error().what = fmt::format("--set {}: {}", assignment, done.error().what);
  return done;
}

std::string settings_text(const Settings& settings) {
  const Settings standard = default_settings(settings.version);
  std::string out;
  for (const SettingKey& key : kKeys) {
    const std::string value = key.show(settings);
    if (value != key.show(standard)) out += fmt::format("{}{}={}", out.empty() ? "" : " ", key.key, value);
  }
  return out;
}

base::Status apply_settings_text(Settings& settings, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    TRY(apply_setting(settings, std::string(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

}  // namespace weft::install
