// The kernel's side of `weftctl check`.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/install/check.h"

namespace weft::install {
namespace {

constexpr const char* kSection = "This node";

struct Mount {
  std::string where, type;
};

// Field 5 of mountinfo is the place, the type stands behind the lonely "-" (proc(5)).
std::vector<Mount> mounts_of(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Mount mount;
    std::string word;
    for (int i = 0; i < 5 && words >> word; ++i) mount.where = word;
    while (words >> word && word != "-") continue;
    words >> mount.type;
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

const Mount* find(const std::vector<Mount>& mounts, std::string_view type) {
  for (const Mount& mount : mounts)
    if (mount.type == type) return &mount;
  return nullptr;
}

Check check(std::string id, std::string text, bool good, std::string reason, std::string hint) {
  Check out{std::move(id), kSection, std::move(text), good ? Verdict::kOk : Verdict::kError, {}, {}, 0};
  if (!good) out.reason = std::move(reason);
  if (!good) out.hint = std::move(hint);
  return out;
}

}  // namespace

bool kernel_is_at_least(std::string_view release, int major, int minor) {
  int found[2] = {0, 0};
  for (int& number : found) {
    const auto [end, error] = std::from_chars(release.data(), release.data() + release.size(), number);
    if (error != std::errc()) return false;
    release.remove_prefix(static_cast<size_t>(end - release.data()));
    if (!release.empty()) release.remove_prefix(1);
  }
  return found[0] != major ? found[0] > major : found[1] >= minor;
}

std::vector<Check> check_machine(const std::string& root, std::string_view release) {
  const auto mounts = mounts_of(root);
  const Mount *cgroup = find(mounts, "cgroup2"), *bpf = find(mounts, "bpf");
  std::vector<Check> out;
  out.push_back(check("node-kernel", fmt::format("kernel {}, at least 5.15 is needed", release),
                      kernel_is_at_least(release, 5, 15), "it is older", "run weft on nodes with a newer kernel"));
  out.push_back(check("node-btf", "the kernel describes its types (/sys/kernel/btf/vmlinux)",
                      std::filesystem::exists(root + "/sys/kernel/btf/vmlinux"), "the file is not there",
                      "use a kernel with CONFIG_DEBUG_INFO_BTF"));
  out.push_back(check("node-cgroup", cgroup ? "cgroup v2 is mounted at " + cgroup->where : "cgroup v2 is mounted",
                      cgroup != nullptr, "it is nowhere in /proc/self/mountinfo",
                      "mount it: alone at /sys/fs/cgroup, or beside v1 at /sys/fs/cgroup/unified"));
  out.push_back(check("node-bpffs", bpf ? "a bpf file system is mounted at " + bpf->where : "a bpf file system is mounted",
                      bpf != nullptr && bpf->where == "/sys/fs/bpf", "it is not at /sys/fs/bpf",
                      "mount -t bpf bpf /sys/fs/bpf"));
  out.push_back({"node-hooks", kSection, "every hook loads", Verdict::kSkipped, "weftctl loads nothing itself",
                 "weft-agent --probe, as root, tries every hook and says what is missing", 0});
  return out;
}

}  // namespace weft::install
