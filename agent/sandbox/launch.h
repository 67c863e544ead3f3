#pragma once
// Starting processes inside a sandbox: which cgroup, network namespace, mounts and rights they get.
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

struct Bind {
  std::string source, target;
  bool read_only = false;
};

struct Launch {
  std::vector<std::string> argv;
  std::optional<std::vector<std::string>> env;  // "K=V"; none keeps the caller's
  std::string cgroup;                           // directory to join; empty stays
  std::string netns;                            // path; empty stays
  // A private mount namespace: /run is empty, then the binds. Without it the binds are ignored.
  bool private_mounts = false;
  std::vector<Bind> binds;
  bool read_only_root = false;  // with private_mounts: only binds and /run can be written
  std::string hostname;   // with private_mounts: a host name of its own
  std::string hide;       // a mount to drop in the private namespace (the sandboxes' netns files)
  std::string directory;  // working directory
  std::optional<uid_t> run_as_user;
  // Bits by CAP_* number: all others are out of reach for good. None keeps the caller's.
  std::optional<uint64_t> keep_capabilities;
  bool no_new_privileges = false;
  int output = -1;      // stdout and stderr; -1 keeps the caller's
  int input = -1;       // stdin; -1 keeps the caller's
  bool detach = false;  // own session, stdin from /dev/null
};

// Turns the calling process into the one described. Comes back only with an error.
[[nodiscard]] base::Status become(const Launch& launch);
// Forks, becomes, and returns the child's pid once it runs the program.
[[nodiscard]] base::Result<pid_t> start(const Launch& launch);
// Runs a helper program to its end: its output, or an error that quotes it.
[[nodiscard]] base::Result<std::string> run_tool(
    std::vector<std::string> argv, const std::string& input = "", const std::string& netns = "",
    std::chrono::milliseconds patience = std::chrono::seconds(20));
// Enters a network namespace with the calling thread.
[[nodiscard]] base::Status enter_netns(const std::string& path);

}  // namespace weft::sandbox
