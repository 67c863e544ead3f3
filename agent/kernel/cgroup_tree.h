#pragma once
// The node's cgroup v2 hierarchy as this process sees it, whatever cgroup namespace it is in: where processes
// are, where the node's pods are, where its kubelet is. Nothing is assumed: mounts come from
// /proc/self/mountinfo, and what exists decides between the names that cgroupfs and systemd drivers give
// (pure and hybrid layouts, nested roots).
#include <sys/types.h>

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::kernel {

// A mount of the cgroup v2 hierarchy that shows all of it, or all that our node is.
struct CgroupMount {
  std::string path;
  unsigned above = 0;  // levels by which its root lies above the root of our own cgroup namespace
};
// Of several that one whose root is highest; of equal ones the last, which covers the others.
[[nodiscard]] base::Result<CgroupMount> cgroup2_mount_in(std::istream& mountinfo);

// Where a process is: found, and how, as a sentence for the agent's report.
struct CgroupChoice {
  std::string directory;  // empty: there is none to name
  std::string why;
};

// A value; every call looks anew.
class CgroupTree {
 public:
  // Fails where no cgroup v2 hierarchy is mounted, or where our own place in it cannot be found. `proc`: of
  // the host's pid namespace where other processes are asked for.
  static base::Result<CgroupTree> open(std::string proc = "/proc");
  // The same with the mount known; for tests.
  static base::Result<CgroupTree> open_at(CgroupMount mount, std::string proc);

  [[nodiscard]] const std::string& root() const { return mount_.path; }
  // Directory of the cgroup that a process is in.
  [[nodiscard]] base::Result<std::string> directory_of(pid_t pid) const;
  [[nodiscard]] base::Result<std::string> own_directory() const;

  // The directory that holds the cgroups of all pods: "kubepods", "kubepods.slice" or
  // "<root>-kubepods.slice". Of several the one we are in ourselves, else the only one in which processes
  // live.
  [[nodiscard]] base::Result<CgroupChoice> find_pods() const;
  // The cgroup of the node's kubelet. No directory where it has none of its own (it is above the pods', or
  // nothing but the root), or where no kubelet is to be seen: `why` says which, and then no probe can be told
  // from another call.
  [[nodiscard]] CgroupChoice find_kubelet(const std::string& pods_cgroup) const;

 private:
  CgroupTree(CgroupMount mount, std::string proc) : mount_(std::move(mount)), proc_(std::move(proc)) {}
  base::Status find_own_root();
  [[nodiscard]] base::Result<std::string> line_of(const std::string& process) const;

  CgroupMount mount_;
  std::string proc_;
  std::string own_root_;  // of our cgroup namespace, below the mount: "" or "/a/b"
};

// The path of the v2 line of /proc/<pid>/cgroup; kNotFound: there is none.
[[nodiscard]] base::Result<std::string> cgroup2_path_in(std::string_view cgroup_file);
// "/a/b" and "/../c" are "/a/c"; an error where it leads out of the hierarchy.
[[nodiscard]] base::Result<std::string> join_cgroups(const std::string& root, std::string_view relative);
// Whether a directory of this name holds the cgroups of pods.
[[nodiscard]] bool is_pods_name(std::string_view name);

}  // namespace weft::kernel
