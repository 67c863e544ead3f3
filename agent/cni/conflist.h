#pragma once
// Our entry in the list of plugins of a CNI configuration: put in and taken out of the text, which otherwise
// stays as it is, byte for byte. Pure. CNI specification 1.1.0, "Network configuration format".
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::cni {

inline constexpr std::string_view kPluginType = "weft-cni";

// What our entry says.
struct Entry {
  std::string socket;
  bool fail_open = false;
  std::vector<std::string> excluded;
};
[[nodiscard]] std::string to_json(const Entry& entry);

// What became of a text.
struct Edit {
  std::string text;
  bool changed = false;
};

// A list (*.conflist) with our entry as its last plugin, exactly once and as `entry` says. The error: why the
// text is no list that a runtime would take.
[[nodiscard]] base::Result<Edit> chain(std::string_view conflist, const Entry& entry);
// The same without our entry.
[[nodiscard]] base::Result<Edit> unchain(std::string_view conflist);
// A single plugin's configuration (*.conf, *.json) as a list with that plugin alone.
[[nodiscard]] base::Result<std::string> to_list(std::string_view conf);

}  // namespace weft::cni
