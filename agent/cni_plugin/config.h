#pragma once
// What the container runtime hands to a plugin: environment and configuration (CNI specification 1.1.0,
// sections "Execution Protocol" and "Plugin configuration objects").
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cni_wire/json.h"
#include "agent/cni_wire/message.h"

namespace weft::cni {

inline constexpr std::array<std::string_view, 5> kVersions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

// The variables CNI_*; empty: not set.
struct Environment {
  std::string command, container_id, netns, interface, args;
};

// Our entry of the list of plugins. Points into the text it was read from.
struct Config {
  std::string version;  // cniVersion
  std::string socket = std::string(kDefaultSocket);
  bool fail_open = false;  // failMode: an agent that cannot be asked lets the pod start outside the mesh
  std::vector<std::string> excluded = {"kube-system", "weft-system"};  // excludeNamespaces: never asked about
  Json previous;                                                       // prevResult; kNone: there is none
};

[[nodiscard]] base::Result<Config> parse_config(std::string_view text);

// CNI_ARGS: the value of `key` in "A=1;B=2"; empty: not there.
[[nodiscard]] std::string argument(std::string_view args, std::string_view key);
// Addresses of a result (0.3.0 and later) on interfaces inside the sandbox, without prefix lengths.
[[nodiscard]] std::vector<std::string> addresses_of(const Json& result);

}  // namespace weft::cni
