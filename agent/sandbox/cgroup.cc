#include "agent/sandbox/cgroup.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "agent/sandbox/files.h"

namespace weft::sandbox {
namespace {

void collect(const std::string& cgroup, std::vector<pid_t>* pids) {
  if (auto text = read_file(cgroup + "/cgroup.procs")) {
    std::istringstream lines(*text);
    for (pid_t pid = 0; lines >> pid;) pids->push_back(pid);
  }
  for (const std::string& name : list_directory(cgroup))
    if (is_directory(cgroup + "/" + name)) collect(cgroup + "/" + name, pids);
}

base::Status remove_directories(const std::string& cgroup) {
  for (const std::string& name : list_directory(cgroup))
    if (is_directory(cgroup + "/" + name)) TRY(remove_directories(cgroup + "/" + name));
  if (::rmdir(cgroup.c_str()) != 0 && errno != ENOENT) return base::fail_errno("rmdir " + cgroup);
  return {};
}

}  // namespace

std::string cgroup2_mount(const std::string& mounts) {
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string device, where, type;
    if (words >> device >> where >> type && type == "cgroup2") return where;
  }
  return "";
}

base::Result<std::string> find_cgroup2() {
  TRY_ASSIGN(auto mounts, read_file("/proc/mounts"));
  std::string where = cgroup2_mount(mounts);
  if (where.empty())
    return base::fail(
        base::ErrorKind::kNotFound,
        "no cgroup v2 is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified`");
  return where;
}

std::vector<pid_t> processes_in(const std::string& cgroup) {
  std::vector<pid_t> pids;
  collect(cgroup, &pids);
  return pids;
}

bool is_populated(const std::string& cgroup) {
  auto events = read_file(cgroup + "/cgroup.events");
  return events && events->find("populated 1") != std::string::npos;
}

void kill_all_in(const std::string& cgroup) {
  // The file is missing only where the cgroup already is.
  (void)write_kernel_file(cgroup + "/cgroup.kill", "1");
}

base::Status remove_cgroup(const std::string& cgroup, std::chrono::milliseconds patience) {
  if (!is_directory(cgroup)) return {};
  kill_all_in(cgroup);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    auto removed = is_populated(cgroup) ? base::fail_errno(EBUSY, "processes left in " + cgroup)
                                        : remove_directories(cgroup);
    if (removed || std::chrono::steady_clock::now() >= deadline) return removed;
    ::poll(nullptr, 0, 10);
  }
}

}  // namespace weft::sandbox
