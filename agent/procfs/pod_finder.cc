#include "agent/procfs/pod_finder.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "agent/procfs/cgroup_path.h"
#include "agent/procfs/files.h"
#include "agent/procfs/process.h"
#include "userspace-proxy/base/fd.h"

namespace weft::procfs {
namespace {

constexpr size_t kMaxCgroupFile = 64 << 10, kMaxNetUnix = 4 << 20;

struct Inode {
  dev_t device = 0;
  ino_t number = 0;
  auto operator<=>(const Inode&) const = default;
};

std::optional<Inode> inode_of(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return Inode{info.st_dev, info.st_ino};
}

struct Process {
  uint64_t started = 0;
  pid_t pid = 0;
  auto operator<=>(const Process&) const = default;
};

// One scan.
class Scan {
 public:
  explicit Scan(const FinderOptions& options) : options_(options) {}
  ~Scan() {
    for (auto& [inode, mark] : marks_)
      if (mark.marker.remove) mark.marker.remove();
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  Found run() {
    list_pinned();
    host_ = inode_of(options_.proc + "/self/ns/net");
    for (const pid_t pid : list_processes(options_.proc, PodFinder::kMaxProcesses)) {
      ++found_.processes;
      if (const auto pod = pod_of(pid)) pods_[pod->uid].push_back({started(pid), pid});
    }
    for (auto& [uid, processes] : pods_) place(uid, processes);
    return std::move(found_);
  }

 private:
  struct Mark {
    std::string path;
    Marker marker;
  };
  enum class Where : uint8_t { kUnknown, kHost, kPinned, kOwn };
  struct Place {
    Where where = Where::kUnknown;
    std::string path;
  };

  [[nodiscard]] std::string path(pid_t pid, const char* name) const {
    return options_.proc + "/" + std::to_string(pid) + "/" + name;
  }
  [[nodiscard]] std::optional<PodCgroup> pod_of(pid_t pid) const {
    const auto text = read_file(path(pid, "cgroup"), kMaxCgroupFile);
    return text ? pod_of_file(*text) : std::nullopt;
  }
  [[nodiscard]] uint64_t started(pid_t pid) const {
    return find_process(pid, options_.proc).value_or(ProcessKey{}).started;
  }

  void list_pinned() {
    for (const std::string& directory : options_.pinned)
      for (const std::string& name : list_names(directory, PodFinder::kMaxPinned)) {
        const std::string file = directory + "/" + name;
        if (const auto inode = inode_of(file)) pinned_.emplace(*inode, file);
      }
  }

  // Marks are made only when some process does not let its namespace be seen.
  void mark_all() {
    if (std::exchange(marked_, true)) return;
    const auto add = [this](const std::string& file) {
      if (auto marker = options_.mark(file)) {
        const uint64_t inode = marker->inode;
        marks_.emplace(inode, Mark{file, std::move(*marker)});
      }
    };
    add(options_.proc + "/self/ns/net");
    for (const auto& [inode, file] : pinned_) add(file);
  }

  Place place_of(pid_t pid) {
    if (const auto inode = inode_of(path(pid, "ns/net"))) {
      if (inode == host_) return {Where::kHost, ""};
      const auto pinned = pinned_.find(*inode);
      if (pinned != pinned_.end()) return {Where::kPinned, pinned->second};
      return {Where::kOwn, path(pid, "ns/net")};
    }
    mark_all();
    const auto sockets = read_file(path(pid, "net/unix"), kMaxNetUnix);
    if (!sockets) return {};
    for (const uint64_t inode : inodes_in(*sockets)) {
      const auto mark = marks_.find(inode);
      if (mark == marks_.end()) continue;
      if (mark->second.path == options_.proc + "/self/ns/net") return {Where::kHost, ""};
      return {Where::kPinned, mark->second.path};
    }
    return {};
  }

  // The sandbox's own process is the pod's first. A later one may have made itself another namespace, so what
  // is pinned by the runtime counts more than what is merely there.
  void place(const std::string& uid, std::vector<Process>& processes) {
    std::ranges::sort(processes);
    std::optional<FoundPod> own;
    for (size_t i = 0; i < std::min(processes.size(), PodFinder::kMaxTries); ++i) {
      const pid_t pid = processes[i].pid;
      Place place = place_of(pid);
      // Its number may be another's by now.
      const auto still = pod_of(pid);
      if (place.where == Where::kUnknown || !still || still->uid != uid) continue;
      if (place.where == Where::kHost) {
        found_.host_network.insert(uid);
        return;
      }
      FoundPod pod{std::move(place.path), pid};
      if (place.where == Where::kPinned) {
        found_.pods.emplace(uid, std::move(pod));
        return;
      }
      if (!own) own = std::move(pod);
    }
    if (own) found_.pods.emplace(uid, std::move(*own));
    if (!own) ++found_.unknown;
  }

  const FinderOptions& options_;
  std::optional<Inode> host_;
  std::map<Inode, std::string> pinned_;
  bool marked_ = false;
  std::map<uint64_t, Mark> marks_;  // by inode number of the socket
  std::map<std::string, std::vector<Process>> pods_;
  Found found_;
};

}  // namespace

base::Result<Marker> mark_namespace(const std::string& path) {
  const base::Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return base::fail_errno("open " + path);
  base::Fd socket;
  int failed = 0;
  const auto body = [&] {
    if (setns(netns.get(), CLONE_NEWNET) == 0) socket.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) failed = errno;
  };
  try {
    std::thread(body).join();
  } catch (const std::system_error& error) {
    return base::fail_errno(error.code().value(), "make a thread");
  }
  if (!socket) return base::fail_errno(failed, "make a socket in " + path);
  struct stat info{};
  if (fstat(socket.get(), &info) != 0) return base::fail_errno("inspect a socket");
  auto kept = std::make_shared<base::Fd>(std::move(socket));
  return Marker{info.st_ino, [kept] { kept->reset(); }};
}

base::Result<Found> PodFinder::scan() const {
  if (!inode_of(options_.proc)) return base::fail_errno("look into " + options_.proc);
  return Scan(options_).run();
}

}  // namespace weft::procfs
