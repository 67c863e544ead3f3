#pragma once
// A sandbox comes up and goes away.
#include <map>
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

struct UpOptions {
  std::string name = "default";
  uint32_t nodes = 2;
  bool dual_stack = false;
  bool mesh = true;
  std::string certificate_lifetime = "24h";
  std::map<std::string, std::string> images;
};

// Makes everything and starts the daemon. A name that is in use is an error; a failure half-way is undone.
[[nodiscard]] base::Result<Layout> up(const UpOptions& options);
// Starts the daemon of a sandbox whose own one died. Nothing else changes.
[[nodiscard]] base::Result<Layout> resume(const std::string& name);
// Removes every trace, whatever is left and whoever was killed. What it did, one line a thing.
[[nodiscard]] base::Result<std::vector<std::string>> down(const std::string& name);

// Names with anything left of them: state, cgroup or pins.
[[nodiscard]] std::vector<std::string> names_with_traces();

}  // namespace weft::sandbox
