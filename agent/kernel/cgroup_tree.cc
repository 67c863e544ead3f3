#include "agent/kernel/cgroup_tree.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <system_error>

#include "agent/kernel/system.h"

namespace weft::kernel {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxDirectories = 20'000;  // looked at in one search
constexpr int kMaxPodsDepth = 5;            // nested roots: kind, kubelet's cgroupRoot
constexpr size_t kMaxProcesses = 65'536;
// Names under which a kubelet runs: its own, and those of distributions that link it in.
constexpr std::array<std::string_view, 6> kKubelets = {"kubelet", "k3s-server", "k3s-agent",
                                                       "k3s",     "kubelite",   "hyperkube"};

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> children_of(const fs::path& directory) {
  std::vector<fs::path> out;
  std::error_code error;
  for (auto it = fs::directory_iterator(directory, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) out.push_back(it->path());
  }
  std::ranges::sort(out);
  return out;
}

// Breadth first, at most `depth` levels down. `visit` says whether to go on below.
void walk(const fs::path& root, int depth, const std::function<bool(const fs::path&, int level)>& visit) {
  std::deque<std::pair<fs::path, int>> todo{{root, 0}};
  for (size_t seen = 0; !todo.empty() && seen < kMaxDirectories; ++seen) {
    const auto [path, level] = std::move(todo.front());
    todo.pop_front();
    if (!visit(path, level) || level == depth) continue;
    for (fs::path& child : children_of(path)) todo.emplace_back(std::move(child), level + 1);
  }
}

bool holds_process(const fs::path& directory, pid_t pid) {
  std::ifstream in(directory / "cgroup.procs");
  for (pid_t one = 0; in >> one;)
    if (one == pid) return true;
  return false;
}

bool is_populated(const fs::path& directory) {
  return read_text(directory / "cgroup.events").find("populated 1") != std::string::npos;
}

bool is_within(const std::string& path, const std::string& root) {
  return path == root || (path.starts_with(root) && (root.ends_with('/') || path[root.size()] == '/'));
}

int depth_of(std::string_view path) {
  return static_cast<int>(std::ranges::count(path, '/'));
}

// How many "/.." a mount's root consists of; -1: of something else.
int levels_above(const std::string& root) {
  if (root == "/") return 0;
  int levels = 0;
  for (std::string_view rest = root; !rest.empty(); rest.remove_prefix(3), ++levels)
    if (!rest.starts_with("/..")) return -1;
  return levels;
}

}  // namespace

base::Result<CgroupMount> cgroup2_mount_in(std::istream& mountinfo) {
  int best = -1;
  std::string path;
  for (std::string line; std::getline(mountinfo, line);) {
    // "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw": the fields before the dash
    // vary.
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream fields(line.substr(0, dash)), source(line.substr(dash + 3));
    std::string id, parent, device, root, mount_point, type;
    fields >> id >> parent >> device >> root >> mount_point;
    source >> type;
    if (type != "cgroup2" || levels_above(root) < best || levels_above(root) < 0) continue;
    best = levels_above(root);
    path = unescape_mount(mount_point);
  }
  if (best >= 0) return CgroupMount{path, static_cast<unsigned>(best)};
  return base::fail(
      base::ErrorKind::kUnsupported,
      "no cgroup v2 hierarchy is mounted; weft attaches its hooks to one: mount -t cgroup2 none "
      "/sys/fs/cgroup");
}

base::Result<std::string> cgroup2_path_in(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  }
  return base::fail(base::ErrorKind::kNotFound, "no cgroup v2 cgroup is named");
}

base::Result<std::string> join_cgroups(const std::string& root, std::string_view relative) {
  std::string out = root;
  while (!relative.empty()) {
    relative.remove_prefix(std::min(relative.size(), relative.find_first_not_of('/')));
    const std::string_view segment = relative.substr(0, relative.find('/'));
    relative.remove_prefix(segment.size());
    if (segment.empty()) break;
    if (segment != "..") {
      out.append("/").append(segment);
      continue;
    }
    if (out.empty())
      return base::fail(base::ErrorKind::kInvalid, "it lies outside the hierarchy that is mounted here");
    out.resize(out.rfind('/'));
  }
  return out;
}

bool is_pods_name(std::string_view name) {
  return name == "kubepods" || name == "kubepods.slice" || name.ends_with("-kubepods.slice");
}

base::Result<CgroupTree> CgroupTree::open(std::string proc) {
  std::ifstream mountinfo("/proc/self/mountinfo");
  if (!mountinfo) return base::fail_errno("open /proc/self/mountinfo");
  TRY_ASSIGN(auto mount, cgroup2_mount_in(mountinfo));
  return open_at(std::move(mount), std::move(proc));
}

base::Result<CgroupTree> CgroupTree::open_at(CgroupMount mount, std::string proc) {
  CgroupTree tree(std::move(mount), std::move(proc));
  TRY(tree.find_own_root());
  return tree;
}

base::Result<std::string> CgroupTree::line_of(const std::string& process) const {
  const std::string path = proc_ + "/" + process + "/cgroup";
  auto found = cgroup2_path_in(read_text(path));
  if (!found) return base::fail(base::ErrorKind::kNotFound, path + " names no cgroup v2 cgroup");
  return found;
}

// A mount whose root is above our cgroup namespace's shows us under names that /proc does not tell: they are
// found by looking for the cgroup that we are in.
base::Status CgroupTree::find_own_root() {
  if (mount_.above == 0) return {};
  TRY_ASSIGN(const std::string within, line_of("self"));
  const int levels = static_cast<int>(mount_.above) + (within == "/" ? 0 : depth_of(within));
  std::string own;
  walk(mount_.path, levels, [&](const fs::path& path, int level) {
    if (level == levels && own.empty() && holds_process(path, getpid())) own = path.string();
    return own.empty();
  });
  if (own.empty())
    return base::fail(base::ErrorKind::kNotFound, "this process is in no cgroup below " + mount_.path +
                                                      ": is the host's cgroup v2 hierarchy mounted there?");
  own_root_ = own.substr(mount_.path.size());
  if (within != "/") own_root_.resize(own_root_.size() - std::min(own_root_.size(), within.size()));
  return {};
}

base::Result<std::string> CgroupTree::directory_of(pid_t pid) const {
  TRY_ASSIGN(const std::string relative, line_of(std::to_string(pid)));
  auto path = join_cgroups(own_root_, relative);
  if (!path)
    return base::fail(path.error().kind,
                      "cgroup of process " + std::to_string(pid) + ": " + path.error().what);
  return mount_.path + *path;
}

base::Result<std::string> CgroupTree::own_directory() const {
  TRY_ASSIGN(const std::string relative, line_of("self"));
  TRY_ASSIGN(const std::string path, join_cgroups(own_root_, relative));
  return mount_.path + path;
}

base::Result<CgroupChoice> CgroupTree::find_pods() const {
  std::vector<std::string> found;
  walk(mount_.path, kMaxPodsDepth, [&](const fs::path& path, int level) {
    if (level == 0 || !is_pods_name(path.filename().string())) return true;
    found.push_back(path.string());
    return false;
  });
  if (const auto own = own_directory(); own)
    for (const std::string& one : found)
      if (is_within(*own, one))
        return CgroupChoice{one, "found below " + mount_.path + ": this agent is one of its pods"};
  if (found.size() == 1)
    return CgroupChoice{found.front(), "found below " + mount_.path + ": the only one of its kind"};
  std::vector<std::string> alive;
  std::ranges::copy_if(found, std::back_inserter(alive), is_populated);
  if (alive.size() == 1)
    return CgroupChoice{alive.front(),
                        "found below " + mount_.path + ": the only one of its kind with processes"};
  if (found.empty())
    return base::fail(base::ErrorKind::kNotFound,
                      "no cgroup of pods (kubepods, kubepods.slice) below " + mount_.path +
                          ": name it with --cgroup, or wait until the kubelet has made it");
  std::string all;
  for (const std::string& one : found) all += (all.empty() ? "" : ", ") + one;
  return base::fail(base::ErrorKind::kConflict,
                    "several cgroups could hold the node's pods: " + all + ": name one with --cgroup");
}

CgroupChoice CgroupTree::find_kubelet(const std::string& pods_cgroup) const {
  std::error_code error;
  size_t seen = 0;
  std::string why = "no kubelet is to be seen in " + proc_ +
                    ": probes of strict pods are refused (--kubelet-cgroup names it)";
  for (auto it = fs::directory_iterator(proc_, error);
       !error && it != fs::directory_iterator() && seen < kMaxProcesses; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos || name.size() > 9)
      continue;
    ++seen;
    std::string comm = read_text(it->path() / "comm");
    if (comm.ends_with('\n')) comm.pop_back();
    if (std::ranges::find(kKubelets, comm) == kKubelets.end()) continue;
    const auto directory = directory_of(static_cast<pid_t>(std::stol(name)));
    // Anybody may call himself kubelet in a pod.
    if (!directory || is_within(*directory, pods_cgroup)) continue;
    if (!is_within(pods_cgroup, *directory))
      return {*directory, "found by process " + name + " (" + comm + ")"};
    why = "the kubelet (process " + name + ") runs in " + *directory +
          ", above the pods' cgroup: its probes cannot be told " +
          "from what others there open; give it a cgroup of its own, as systemd does";
  }
  return {"", why};
}

}  // namespace weft::kernel
