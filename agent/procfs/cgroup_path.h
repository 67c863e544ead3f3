#pragma once
// Which pod a process belongs to, from /proc/<pid>/cgroup (cgroups(7)). Pure.
//
//   kubepods/burstable/pod<uid>/<container>                                             cgroupfs driver
//   kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<container>.scope
//   .../kubepods-burstable-pod<uid_>.slice:cri-containerd:<container>                   a systemd name given
//   to cgroupfs
//   ../../pod<uid>/<container>                                                          seen from another
//   cgroup namespace
#include <optional>
#include <string>
#include <string_view>

namespace weft::procfs {

struct PodCgroup {
  std::string uid;        // as the API writes it: lower case, with dashes; 32 hex digits for static pods
  std::string container;  // id, without the runtime's words around it; empty: the pod's own cgroup
  bool operator==(const PodCgroup&) const = default;
};

// Of one path. The outermost pod counts: what a pod makes below its own cgroup does not make it another.
[[nodiscard]] std::optional<PodCgroup> pod_of_path(std::string_view path);
// Of the whole file: what the line of cgroup v2 says, else the first line of v1 that names a pod.
[[nodiscard]] std::optional<PodCgroup> pod_of_file(std::string_view text);

}  // namespace weft::procfs
