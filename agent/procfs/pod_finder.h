#pragma once
// Where pods that run already live: their network namespaces, found by way of /proc.
#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::procfs {

struct FoundPod {
  std::string netns;  // path; of a pinned name if there is one, since a process may end
  pid_t pid = 0;      // the process it was found by
  bool operator==(const FoundPod&) const = default;
};

struct Found {
  std::map<std::string, FoundPod> pods;  // by uid; a static pod's uid is its hash
  std::set<std::string> host_network;    // uids of pods in the node's own namespace
  uint64_t processes = 0;                // looked at
  uint64_t unknown = 0;                  // pods with processes, none of which could be told its namespace
};

// The namespace behind a pinned name as seen from outside: the inode number of a socket that was made in it,
// which stands in /proc/<pid>/net/unix of every process of that namespace while the socket lives. That file
// needs no right to look into the process (CAP_SYS_PTRACE), /proc/<pid>/ns/net does.
struct Marker {
  uint64_t inode = 0;
  std::function<void()> remove;  // may be empty
};
using MarkNamespace = std::function<base::Result<Marker>(const std::string& path)>;
[[nodiscard]] base::Result<Marker> mark_namespace(const std::string& path);

struct FinderOptions {
  std::string proc = "/proc";  // of the host's pid namespace
  std::vector<std::string> pinned = {"/run/netns", "/var/run/netns"};
  MarkNamespace mark = mark_namespace;
};

// Blocks for the time of reading /proc once; call it in a thread of its own. Keeps nothing between two scans.
class PodFinder {
 public:
  explicit PodFinder(FinderOptions options = {}) : options_(std::move(options)) {}
  // Bounded: kMaxProcesses, kMaxPinned names, kMaxTries processes of one pod.
  [[nodiscard]] base::Result<Found> scan() const;

  static constexpr size_t kMaxProcesses = 65'536, kMaxPinned = 4096, kMaxTries = 16;

 private:
  FinderOptions options_;
};

}  // namespace weft::procfs
