#pragma once
// What a user may decide about an installation: `--set key=value`. Everything has a default.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::install {

struct Settings {
  std::string image;                     // of every part; default weft/weft:<version>
  std::string agent_image, proxy_image;  // of one DaemonSet; empty: `image`
  std::string pull_policy = "IfNotPresent";
  int64_t control_replicas = 2, gateway_replicas = 1;
  // Of Service istio-ingressgateway; 0: the cluster chooses.
  int64_t status_node_port = 0, http2_node_port = 0, https_node_port = 0;
  std::string trust_domain = "cluster.local", cluster = "Kubernetes";
  std::string certificate_lifetime = "24h";
  bool same_node_mtls = false;
  std::string cni_fail_mode = "closed";  // what becomes of new pods while a node's agent cannot be asked
  std::string node_taint = "remove";     // of weft.mesh/agent-not-ready: see agent/nodes/capture.h
  std::string log_level = "info";
  std::string version;  // of weft, for labels; not to be set
};

// The defaults of the version that this program is.
[[nodiscard]] Settings default_settings(std::string_view version);

// One key of `--set`. `show` is the value's text, which `set` takes again.
struct SettingKey {
  std::string_view key, help;
  base::Status (*set)(Settings& settings, const std::string& value);
  std::string (*show)(const Settings& settings);
};
[[nodiscard]] std::span<const SettingKey> setting_keys();

// "key=value". kInvalid: an unknown key (with the one that may be meant) or a value it does not take.
[[nodiscard]] base::Status apply_setting(Settings& settings, const std::string& assignment);

// What differs from the defaults, as "key=value key=value" in the order of the keys, and the way back. Values hold no
// blanks: apply_setting refuses them.
[[nodiscard]] std::string settings_text(const Settings& settings);
[[nodiscard]] base::Status apply_settings_text(Settings& settings, std::string_view text);

}  // namespace weft::install
