// What the machine offers: cgroups, namespaces, BTF.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/kernel/cgroup_tree.h"
#include "agent/kernel/kernel.h"
#include "agent/kernel/system.h"

namespace weft::kernel {
// Octal escapes of mountinfo: "\040" is a blank.
std::string unescape_mount(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

base::Result<std::string> find_cgroup2() {
  std::ifstream mountinfo("/proc/self/mountinfo");
  if (!mountinfo) return base::fail_errno("open /proc/self/mountinfo");
  TRY_ASSIGN(auto mount, cgroup2_mount_in(mountinfo));
  return mount.path;
}

base::Result<base::Fd> open_cgroup(const std::string& directory) {
  base::Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return base::fail_errno("open cgroup " + directory);
  struct statfs info{};
  if (fstatfs(fd.get(), &info) != 0) return base::fail_errno("statfs " + directory);
  if (static_cast<unsigned long>(info.f_type) != CGROUP2_SUPER_MAGIC)
    return base::fail(base::ErrorKind::kInvalid, directory + " is no directory of a cgroup v2 hierarchy");
  return fd;
}

base::Result<uint64_t> cgroup_id(const std::string& directory) {
  TRY_ASSIGN(auto fd, open_cgroup(directory));
  // The handle of a cgroup directory is its id.
  struct {
    file_handle head;
    uint64_t id;
  } handle{};
  handle.head.handle_bytes = sizeof handle.id;
  int mount_id = 0;
  if (name_to_handle_at(fd.get(), "", &handle.head, &mount_id, AT_EMPTY_PATH) != 0)
    return base::fail_errno("find the id of cgroup " + directory);
  uint64_t id = 0;
  std::memcpy(&id, handle.head.f_handle, sizeof id);
  return id;
}

base::Status check_apart(const std::string& kubelet_cgroup, const std::string& pods_cgroup) {
  const auto whole = [](const std::string& directory) {
    std::error_code ignored;
    std::string path = std::filesystem::weakly_canonical(directory, ignored).string();
    while (!path.empty() && path.back() == '/') path.pop_back();
    return path + "/";
  };
  const std::string kubelet = whole(kubelet_cgroup), pods = whole(pods_cgroup);
  if (!kubelet.starts_with(pods) && !pods.starts_with(kubelet)) return {};
  return base::fail(base::ErrorKind::kInvalid,
                    "the kubelet's cgroup " + kubelet_cgroup + " and the pods' cgroup " + pods_cgroup +
                        " are one within the other: a pod's calls could pass for probes");
}

base::Result<uint64_t> own_netns_cookie() {
  base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return base::fail_errno("socket");
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
    return base::fail_errno("SO_NETNS_COOKIE");
  return cookie;
}

base::Status check_btf() {
  if (access("/sys/kernel/btf/vmlinux", R_OK) == 0) return {};
  return base::fail(
      base::ErrorKind::kUnsupported,
      "the kernel has no BTF (/sys/kernel/btf/vmlinux); weft needs one built with CONFIG_DEBUG_INFO_BTF");
}

}  // namespace weft::kernel
