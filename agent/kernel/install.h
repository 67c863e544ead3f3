#pragma once
// From nothing, from an earlier agent's pins, or from half of either to hooks that run. Internal to kernel/.
#include <string>

#include "agent/kernel/programs.h"

namespace weft::kernel {

// The pinned state of one node, open.
struct Installed {
  Options options;
  std::string directory;  // <pin root>/v<ABI>
  base::Fd lock;          // on the pin root
  MapSet maps;
  Hooks hooks;            // as shipped; the links hold these or equal ones
  ProgramView sk_lookup;  // as shipped, for comparison
  Start start = Start::kCreated;
};

base::Result<Installed> install(const Options& options);

// Attaches the hooks whose link is gone; says how many.
base::Result<unsigned> attach_missing(const Installed& installed);

// Whether there is a cgroup to attach `hook` to: not everybody names the kubelet's.
[[nodiscard]] bool is_placed(const Installed& installed, const Hook& hook);

// How the links of one attach point stand.
base::Result<Attachment> view_attachment(const Installed& installed, const Hook& hook);

[[nodiscard]] std::string link_path(const Installed& installed, const Hook& hook);
[[nodiscard]] std::string pods_directory(const Installed& installed);

// Whether two programs of one hook can stand for each other; constants aside where they name a pod.
[[nodiscard]] bool same_code(const ProgramView& a, const ProgramView& b);

}  // namespace weft::kernel
