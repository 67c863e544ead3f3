#include "agent/exempt.h"

#include <fstream>

namespace weft::agent {

base::Result<std::string> cgroup_of(const std::string& cgroup2, pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/cgroup";
  std::ifstream in(path);
  // The line of the unified hierarchy begins with "0::".
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("0::/")) return line == "0::/" ? cgroup2 : cgroup2 + line.substr(3);
  return base::fail(base::ErrorKind::kNotFound, path + " names no cgroup v2 cgroup");
}

}  // namespace weft::agent
