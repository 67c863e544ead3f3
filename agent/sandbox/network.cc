#include "agent/sandbox/network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "agent/sandbox/files.h"
#include "agent/sandbox/launch.h"

namespace weft::sandbox {
namespace {

struct Sysctl {
  const char* name;
  const char* value;
};

// Namespaces inherit some settings from the machine; these are what a node and a pod of a cluster have.
constexpr Sysctl kEverywhere[] = {{"net/ipv4/tcp_congestion_control", "cubic"},
                                  {"net/ipv6/conf/all/accept_dad", "0"},
                                  {"net/ipv6/conf/default/accept_dad", "0"},
                                  {"net/ipv6/conf/all/accept_ra", "0"},
                                  // IPv6 routers cannot be told not to redirect; who believed them would go
                                  // past the node and its address translation.
                                  {"net/ipv6/conf/all/accept_redirects", "0"},
                                  {"net/ipv6/conf/default/accept_redirects", "0"},
                                  {"net/ipv6/conf/default/accept_ra", "0"},
                                  {"net/ipv4/conf/all/rp_filter", "0"},
                                  {"net/ipv4/conf/default/rp_filter", "0"},
                                  {"net/ipv4/ping_group_range", "0 2147483647"}};
// Bridge netfilter (where the machine has it) would translate and switch frames before they are routed; here
// everything is routed, so it stays out of the way.
constexpr Sysctl kForwarding[] = {{"net/bridge/bridge-nf-call-iptables", "0"},
                                  {"net/bridge/bridge-nf-call-ip6tables", "0"},
                                  {"net/ipv4/ip_forward", "1"},
                                  {"net/ipv6/conf/all/forwarding", "1"},
                                  {"net/ipv4/conf/all/send_redirects", "0"},
                                  {"net/ipv4/conf/default/send_redirects", "0"}};

// Runs `action` in a child that is inside the namespace: /proc/sys/net shows the reader's own.
template <typename Action>
base::Status in_child(const std::string& what, Action action) {
  const pid_t pid = ::fork();
  if (pid < 0) return base::fail_errno("fork");
  if (pid == 0) ::_exit(action() ? 0 : (errno != 0 ? errno : 1));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return base::fail_errno(WIFEXITED(status) ? WEXITSTATUS(status) : 0, what);
}

base::Status set_sysctls(const std::string& netns, bool forwarding) {
  return in_child("set sysctls in " + netns, [&] {
    if (!enter_netns(netns)) return false;
    // A machine without IPv6 lacks some of the files; the network set-up that follows says so if it matters.
    for (const Sysctl& s : kEverywhere) (void)write_kernel_file(std::string("/proc/sys/") + s.name, s.value);
    if (!forwarding) return true;
    for (const Sysctl& s : kForwarding) (void)write_kernel_file(std::string("/proc/sys/") + s.name, s.value);
    return write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1").has_value();
  });
}

base::Status ip_batch(const std::string& netns, const std::string& commands) {
  auto done = run_tool({"ip", "-batch", "-"}, commands, netns);
  if (!done) return std::unexpected(done.error());
  return {};
}

bool is_mount_point(const std::string& path) {
  auto mounts = read_file("/proc/self/mountinfo");
  return mounts && mounts->find(" " + path + " ") != std::string::npos;
}

// A bridge without an address of its own takes the lowest of its ports', and changes it as pods come and go:
// neighbours would speak to the old one until their caches run out.
std::string bridge_command(uint32_t first, uint32_t second) {
  return fmt::format("link add br0 address 02:77:65:{:02x}:{:02x}:01 type bridge\n", first, second);
}

}  // namespace

base::Status make_netns(const std::string& path) {
  if (is_mount_point(path)) return {};
  base::Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return base::fail_errno("create " + path);
  return in_child("make network namespace " + path, [&] {
    return ::unshare(CLONE_NEWNET) == 0 &&
           ::mount("/proc/self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) == 0;
  });
}

base::Status remove_netns(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return base::fail_errno("unmount " + path);
  remove_file(path);
  return {};
}

std::string fabric_commands(const Layout& layout) {
  std::string out = "link set lo up\n" + bridge_command(layout.plan().index, 0);
  out += fmt::format("addr add {}/24 dev br0\n", layout.fabric_v4(1));
  if (layout.plan().dual_stack) out += fmt::format("addr add {}/64 dev br0 nodad\n", layout.fabric_v6(1));
  out += "link set br0 up\n";
  for (uint32_t node = 1; node <= layout.plan().nodes; ++node) {
    const std::string name = layout.node_name(node);
    out += fmt::format("link add {} type veth peer name eth0 netns {}\nlink set {} master br0 up\n", name,
                       layout.netns(name), name);
  }
  out += fmt::format("link add outside type veth peer name eth0 netns {}\nlink set outside master br0 up\n",
                     layout.netns("outside"));
  for (uint32_t node = 1; node <= layout.plan().nodes; ++node) {
    out += fmt::format("route add {} via {}\n", layout.pod_cidr_v4(node), layout.node_v4(node));
    if (layout.plan().dual_stack)
      out += fmt::format("route add {} via {}\n", layout.pod_cidr_v6(node), layout.node_v6(node));
  }
  return out;
}

std::string node_commands(const Layout& layout, uint32_t node) {
  const bool v6 = layout.plan().dual_stack;
  std::string out = "link set lo up\nlink set eth0 up\n" + bridge_command(layout.plan().index, node);
  out += fmt::format("addr add {}/24 dev eth0\n", layout.node_v4(node));
  out += fmt::format("addr add {}/24 dev br0\n", layout.pod_v4(node, 1));
  if (v6) out += fmt::format("addr add {}/64 dev eth0 nodad\n", layout.node_v6(node));
  if (v6) out += fmt::format("addr add {}/64 dev br0 nodad\n", layout.pod_v6(node, 1));
  out += fmt::format("link set br0 up\nroute add default via {}\n", layout.fabric_v4(1));
  if (v6) out += fmt::format("route add default via {}\n", layout.fabric_v6(1));
  for (uint32_t other = 1; other <= layout.plan().nodes; ++other) {
    if (other == node) continue;
    out += fmt::format("route add {} via {}\n", layout.pod_cidr_v4(other), layout.node_v4(other));
    if (v6) out += fmt::format("route add {} via {}\n", layout.pod_cidr_v6(other), layout.node_v6(other));
  }
  return out;
}

std::string outside_commands(const Layout& layout) {
  std::string out = "link set lo up\nlink set eth0 up\n";
  out += fmt::format("addr add {}/24 dev eth0\nroute add default via {}\n", layout.fabric_v4(kOutsideHost),
                     layout.fabric_v4(1));
  if (layout.plan().dual_stack)
    out += fmt::format("addr add {}/64 dev eth0 nodad\nroute add default via {}\n",
                       layout.fabric_v6(kOutsideHost), layout.fabric_v6(1));
  return out;
}

base::Status make_cluster_network(const Layout& layout) {
  auto names = layout.node_names();
  names.insert(names.begin(), {"fabric", "outside"});
  for (const std::string& name : names) {
    TRY(make_netns(layout.netns(name)));
    TRY(set_sysctls(layout.netns(name), name != "outside"));
  }
  TRY(ip_batch(layout.netns("fabric"), fabric_commands(layout)));
  TRY(ip_batch(layout.netns("outside"), outside_commands(layout)));
  for (uint32_t node = 1; node <= layout.plan().nodes; ++node)
    TRY(ip_batch(layout.netns(layout.node_name(node)), node_commands(layout, node)));
  return {};
}

base::Status make_pod_network(const Layout& layout, const PodNetwork& pod) {
  const uint32_t node = layout.node_number(pod.node);
  TRY(make_netns(pod.netns));
  TRY(set_sysctls(pod.netns, false));
  TRY(ip_batch(layout.netns(pod.node), fmt::format("link add {0} type veth peer name eth0 netns {1}\n"
                                                   "link set {0} master br0 up\n",
                                                   pod.interface, pod.netns)));
  std::string inside = fmt::format(
      "link set lo up\nlink set eth0 up\naddr add {0}/32 dev eth0\n"
      "route add {1} dev eth0 scope link src {0}\nroute add default via {1} src {0}\n",
      pod.v4, layout.pod_v4(node, 1));
  if (!pod.v6.empty())
    inside += fmt::format(
        "addr add {0}/128 dev eth0 nodad\nroute add {1} dev eth0\nroute add default via {1} src {0}\n",
        pod.v6, layout.pod_v6(node, 1));
  return ip_batch(pod.netns, inside);
}

base::Status remove_pod_network(const Layout& layout, const PodNetwork& pod) {
  // The veth dies with its end in the node; the namespace with its last process and mount.
  (void)run_tool({"ip", "link", "del", pod.interface}, "", layout.netns(pod.node));
  return remove_netns(pod.netns);
}

}  // namespace weft::sandbox
