#pragma once
// The sandboxes of this node: told by the container runtime, or found in /proc. Pure but for looking whether
// a path still is.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/cni_wire/message.h"

namespace weft::cni {

struct Sandbox {
  std::string ns, name;      // empty: found, only the uid is known
  std::string netns;         // path
  std::string container_id;  // empty: found
  std::vector<std::string> addresses;
  bool operator==(const Sandbox&) const = default;
};

// Owned by main, in the loop's thread.
class SandboxBook {
 public:
  // Bounded: nobody has so many pods on one node.
  static constexpr size_t kMaxSandboxes = 4096;
  // Whether there is a file; the default asks the system.
  using Exists = std::function<bool(const std::string& path)>;
  explicit SandboxBook(Exists exists = nullptr);

  // Each says whether it changed anything.
  bool add(const Request& sandbox);
  // That very sandbox: its pod may have another by now.
  bool remove(const Request& sandbox);
  // All that a look into /proc found: paths by uid. What was told and is still there counts more: it may be
  // newer than the look, and nobody runs in a new sandbox yet.
  bool found(const std::map<std::string, std::string>& paths);

  [[nodiscard]] const std::map<std::string, Sandbox>& by_uid() const { return sandboxes_; }

 private:
  Exists exists_;
  std::map<std::string, Sandbox> sandboxes_;
};

}  // namespace weft::cni
