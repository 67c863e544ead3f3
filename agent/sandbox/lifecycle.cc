#include "agent/sandbox/lifecycle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <set>
#include <sstream>

#include "agent/sandbox/cgroup.h"
#include "agent/sandbox/daemon.h"
#include "agent/sandbox/files.h"
#include "agent/sandbox/launch.h"
#include "agent/sandbox/network.h"
#include "agent/sandbox/store.h"
#include "agent/sandbox/system.h"

namespace weft::sandbox {
namespace {

constexpr const char* kCgroupPrefix = "weft-sandbox-";

// One sandbox comes or goes at a time. A lock on a directory that is always there leaves no file behind.
base::Result<base::Fd> take_turn() {
  base::Fd fd(::open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX) != 0) return base::fail_errno("lock /run");
  return fd;
}

std::string own_program() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "weftctl";
}

base::Result<uint32_t> free_index() {
  std::set<uint32_t> taken;
  for (const std::string& name : sandbox_names())
    if (auto layout = load_layout(name)) taken.insert(layout->plan().index);
  for (uint32_t index = 0; index < kMaxSandboxes; ++index)
    if (!taken.contains(index)) return index;
  return base::fail(base::ErrorKind::kLimit,
                    fmt::format("{} sandboxes are up, that is the most", kMaxSandboxes));
}

base::Status refuse_existing(const std::string& name) {
  const Layout layout{Plan{.name = name}};
  if (!is_directory(layout.state())) return {};
  if (daemon_is_running(layout))
    return base::fail(
        base::ErrorKind::kConflict,
        fmt::format("sandbox \"{0}\" is already up: use it, take it down with `weftctl sandbox --name {0} "
                    "down`, or choose another --name",
                    name));
  return base::fail(
      base::ErrorKind::kConflict,
      fmt::format("sandbox \"{0}\" exists, but its daemon is not running: go on with `weftctl sandbox "
                  "--name {0} up --resume`, or remove it with `weftctl sandbox --name {0} down`",
                  name));
}

base::Status check_programs(const Plan& plan) {
  if (!plan.mesh) return {};
  for (const char* program : {"weft-agent", "weft-proxy"})
    if (!exists(plan.programs + "/" + program))
      return base::fail(base::ErrorKind::kNotFound,
                        fmt::format("{}/{} is missing: build it, or use --no-mesh", plan.programs, program));
  const auto mounts = read_file("/proc/mounts");
  if (mounts && mounts->find(" /sys/fs/bpf bpf ") != std::string::npos) return {};
  return base::fail(base::ErrorKind::kNotFound,
                    "no BPF file system: mount one with `mount -t bpf bpf /sys/fs/bpf`, or use --no-mesh");
}

base::Status make_state(const Layout& layout) {
  for (const std::string& dir :
       {layout.netns_dir(), layout.applied(), layout.user(), layout.generated(), layout.status(),
        layout.requests(), layout.pods(), layout.logs(), layout.jwks_dir(), layout.trust_dir(), layout.in_state("dns")})
    TRY(make_directories(dir));
  // Control's own: it alone looks into the one, everybody reads what it writes into the other.
  TRY(make_directories(layout.ca_dir(), 0700));
  for (const std::string& dir : {layout.ca_dir(), layout.trust_dir()})
    if (::chown(dir.c_str(), kControlUser, kControlUser) != 0) return base::fail_errno("chown " + dir);
  ::chmod(layout.status().c_str(), 01777);  // unprivileged gateway agents write there too
  for (const std::string& node : layout.node_names()) {
    TRY(make_directories(layout.node_dir(node) + "/agent"));
    TRY(make_directories(layout.node_dir(node) + "/proxy"));
  }
  // A mount of its own: pods drop it as a whole, so none keeps another's network alive.
  const std::string dir = layout.netns_dir();
  if (::mount(dir.c_str(), dir.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      ::mount(nullptr, dir.c_str(), nullptr, MS_PRIVATE, nullptr) != 0)
    return base::fail_errno("mount " + dir);
  for (const char* part : {"daemon", "dns", "forward", "outside"})
    TRY(make_directories(layout.cgroup() + "/" + part));
  for (const std::string& node : layout.node_names()) {
    TRY(make_directories(layout.kubepods(node)));
    TRY(make_directories(layout.kubelet(node)));
    TRY(make_directories(layout.cgroup() + "/" + node + "/host"));
  }
  return {};
}

base::Status make_first_objects(const Layout& layout) {
  Store user(layout.user()), applied(layout.applied());
  for (const char* ns : {"default", "kube-system", "istio-system", "weft-system"})
    TRY(user.put({{"apiVersion", "v1"},
                  {"kind", "Namespace"},
                  {"metadata", {{"name", ns}, {"labels", {{"kubernetes.io/metadata.name", ns}}}}}}));
  if (!layout.plan().mesh) return {};
  // Control first: nothing waits for it, but everybody asks it.
  TRY_ASSIGN(auto objects, read_manifests(control_manifest(layout), "manifests/sandbox/control.yaml"));
  TRY_ASSIGN(const auto gateway, read_manifests(gateway_manifest(layout), "manifests/sandbox/gateway.yaml"));
  objects.insert(objects.end(), gateway.begin(), gateway.end());
  for (const Json& object : objects) TRY((text_at(object, "kind") == "Service" ? applied : user).put(object));
  return {};
}

base::Status start_daemon(const Layout& layout) {
  base::Fd log(
      ::open(layout.in_state("daemon.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  Launch launch;
  launch.argv = {own_program(), "sandbox", "--name", layout.plan().name, "serve"};
  launch.cgroup = layout.cgroup() + "/daemon";
  launch.output = log.get();
  launch.detach = true;
  TRY_ASSIGN(const pid_t pid, start(launch));
  (void)pid;
  return {};
}

// Up is up when the nodes are there and the gateway has its node ports and a place.
bool looks_ready(const Layout& layout) {
  Store generated(layout.generated());
  generated.refresh();
  if (generated.find({"Node", "", layout.node_name(layout.plan().nodes)}) == nullptr) return false;
  if (!exists(layout.in_state("forward-port"))) return false;
  if (!layout.plan().mesh) return true;
  for (const auto& [name, object] : generated.objects())
    if (name.kind == "Pod" && name.ns == "istio-system" && has(object, "status.hostIP"))
      return generated.find({"Service", "istio-system", "istio-ingressgateway"}) != nullptr;
  return false;
}

base::Status wait_until_ready(const Layout& layout) {
  for (int tries = 0; tries < 600; ++tries) {
    if (looks_ready(layout)) return {};
    if (tries > 20 && !daemon_is_running(layout)) break;
    ::poll(nullptr, 0, 50);
  }
  return base::fail(base::ErrorKind::kTimeout,
                    "the sandbox's daemon did not get ready; its log says:\n" +
                        read_file(layout.in_state("daemon.log")).value_or("(nothing)"));
}

base::Status bring_up(const Layout& layout) {
  TRY(make_directories(layout.state()));
  // First of all, so that `down` and a second `up` know about whatever follows.
  TRY(write_file(layout.plan_file(), layout.plan().to_json().dump(2)));
  TRY(make_state(layout));
  TRY(make_cluster_network(layout));
  TRY(make_first_objects(layout));
  TRY(start_daemon(layout));
  return wait_until_ready(layout);
}

std::vector<std::string> pin_dirs(const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& entry : list_directory(kPinsDir)) {
    const std::string prefix = name + "-node";
    if (entry.starts_with(prefix) && entry.size() > prefix.size() &&
        entry.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      found.push_back(std::string(kPinsDir) + "/" + entry);
  }
  return found;
}

base::Result<size_t> unmount_below(const std::string& dir) {
  TRY_ASSIGN(const auto mounts, read_file("/proc/self/mountinfo"));
  std::vector<std::string> below;
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, where;
    words >> id >> parent >> device >> root >> where;
    if (where == dir || where.starts_with(dir + "/")) below.push_back(where);
  }
  // Later mounts lie on top of earlier ones.
  for (auto it = below.rbegin(); it != below.rend(); ++it) ::umount2(it->c_str(), MNT_DETACH);
  return below.size();
}

}  // namespace

base::Result<Layout> up(const UpOptions& options) {
  if (::geteuid() != 0)
    return base::fail(base::ErrorKind::kRefused, "a sandbox needs root: run it with sudo");
  TRY(check_name(options.name));
  if (options.nodes == 0 || options.nodes > kMaxNodes)
    return base::fail(base::ErrorKind::kInvalid, fmt::format("--nodes: 1 to {}", kMaxNodes));
  TRY(check_lifetime(options.certificate_lifetime));
  TRY_ASSIGN(auto turn, take_turn());
  TRY(refuse_existing(options.name));
  Plan plan;
  plan.name = options.name;
  plan.nodes = options.nodes;
  plan.dual_stack = options.dual_stack;
  plan.mesh = options.mesh;
  plan.certificate_lifetime = options.certificate_lifetime;
  plan.images = options.images;
  plan.programs = own_program().substr(0, own_program().rfind('/'));
  TRY_ASSIGN(plan.cgroup_root, find_cgroup2());
  TRY_ASSIGN(plan.index, free_index());
  TRY(check_programs(plan));
  const Layout layout(plan);
  auto done = bring_up(layout);
  if (done) return layout;
  turn.reset();
  (void)down(options.name);
  return std::unexpected(done.error());
}

base::Result<Layout> resume(const std::string& name) {
  TRY_ASSIGN(auto turn, take_turn());
  TRY_ASSIGN(const auto layout, load_layout(name));
  if (daemon_is_running(layout)) return layout;
  TRY(start_daemon(layout));
  TRY(wait_until_ready(layout));
  return layout;
}

base::Result<std::vector<std::string>> down(const std::string& name) {
  TRY(check_name(name));
  if (::geteuid() != 0)
    return base::fail(base::ErrorKind::kRefused, "a sandbox needs root: run it with sudo");
  TRY_ASSIGN(auto turn, take_turn());
  std::vector<std::string> done;
  TRY_ASSIGN(const std::string root, find_cgroup2());
  const Layout layout{Plan{.name = name, .cgroup_root = root}};
  if (is_directory(layout.cgroup())) {
    const size_t count = processes_in(layout.cgroup()).size();
    TRY(remove_cgroup(layout.cgroup(), std::chrono::seconds(10)));
    done.push_back(fmt::format("{} processes and their cgroups", count));
  }
  for (const std::string& pins : pin_dirs(name)) {
    TRY(remove_tree(pins));
    done.push_back("BPF pins " + pins);
  }
  ::rmdir(kPinsDir);
  if (is_directory(layout.state())) {
    TRY_ASSIGN(const size_t mounts, unmount_below(layout.state()));
    done.push_back(fmt::format("{} namespaces and mounts", mounts));
    TRY(remove_tree(layout.state()));
    done.push_back("files in " + layout.state());
  }
  // Only if they are empty: other sandboxes and programs may use them.
  ::rmdir(kSandboxesDir);
  ::rmdir("/run/weft");
  return done;
}

std::vector<std::string> names_with_traces() {
  std::set<std::string> names;
  for (const std::string& name : sandbox_names()) names.insert(name);
  if (auto root = find_cgroup2())
    for (const std::string& entry : list_directory(*root))
      if (entry.starts_with(kCgroupPrefix)) names.insert(entry.substr(std::string(kCgroupPrefix).size()));
  for (const std::string& entry : list_directory(kPinsDir)) {
    const size_t node = entry.rfind("-node");
    if (node != std::string::npos) names.insert(entry.substr(0, node));
  }
  return {names.begin(), names.end()};
}

}  // namespace weft::sandbox
