#pragma once
// Commands that change what a sandbox should be: apply, delete, create, label, scale, rollout restart.
#include <string>
#include <vector>

#include "agent/objects/finding.h"
#include "agent/sandbox/layout.h"

namespace weft::ctl {

using sandbox::Layout;

// A manifest, checked by the product's own reader and decoder; all files are checked before the first is
// applied.
[[nodiscard]] base::Status apply(const Layout& layout, const std::vector<std::string>& paths,
                                 const std::string& ns);
[[nodiscard]] base::Status delete_files(const Layout& layout, const std::vector<std::string>& paths,
                                        const std::string& ns, bool ignore_missing);

struct DeleteOptions {
  std::string ns;
  bool ignore_missing = false, wait = true;
  int grace_seconds = -1;  // -1: what the pod says
};
[[nodiscard]] base::Status delete_named(const Layout& layout, objects::Kind kind,
                                        const std::vector<std::string>& names, const DeleteOptions& options);
[[nodiscard]] base::Status create_namespace(const Layout& layout, const std::string& name);
[[nodiscard]] base::Status label(const Layout& layout, objects::Kind kind, const std::string& name,
                                 const std::string& ns, const std::vector<std::string>& changes);
[[nodiscard]] base::Status scale(const Layout& layout, const std::string& name, const std::string& ns,
                                 int replicas);
[[nodiscard]] base::Status rollout_restart(const Layout& layout, const std::string& name,
                                           const std::string& ns);

// "pod", "virtualservice": as kubectl names a kind in its answers.
[[nodiscard]] std::string word_of(const std::string& kind);

}  // namespace weft::ctl
