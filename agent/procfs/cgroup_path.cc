#include "agent/procfs/cgroup_path.h"

#include <algorithm>
#include <array>

namespace weft::procfs {
namespace {

constexpr size_t kHash = 32, kUuid = 36, kMaxContainer = 128;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// A pod's uid in its usual form, or nothing.
std::optional<std::string> read_uid(std::string_view text) {
  std::string uid(text);
  std::ranges::replace(uid, '_', '-');
  if (uid.size() == kHash) return std::ranges::all_of(uid, is_hex) ? std::optional(uid) : std::nullopt;
  if (uid.size() != kUuid) return std::nullopt;
  for (size_t i = 0; i < uid.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? uid[i] != '-' : !is_hex(uid[i])) return std::nullopt;
  }
  return uid;
}

std::string read_container(std::string_view segment) {
  constexpr std::array<std::string_view, 5> kPrefixes = {"cri-containerd-", "crio-conmon-", "crio-",
                                                         "docker-", "containerd-"};
  for (const std::string_view prefix : kPrefixes)
    if (segment.starts_with(prefix)) {
      segment.remove_prefix(prefix.size());
      break;
    }
  if (segment.ends_with(".scope")) segment.remove_suffix(6);
  return std::string(segment.substr(0, kMaxContainer));
}

// "kubepods-burstable-pod<uid_>.slice" and what may follow a colon.
std::optional<PodCgroup> read_slice(std::string_view segment) {
  const size_t slice = segment.find(".slice"), pod = segment.substr(0, slice).rfind("-pod");
  if (slice == std::string_view::npos || pod == std::string_view::npos) return std::nullopt;
  if (segment.substr(0, pod).find("kubepods") == std::string_view::npos) return std::nullopt;
  const auto uid = read_uid(segment.substr(pod + 4, slice - pod - 4));
  if (!uid) return std::nullopt;
  const std::string_view rest = segment.substr(slice + 6);
  if (rest.empty()) return PodCgroup{*uid, ""};
  if (rest.front() != ':') return std::nullopt;
  return PodCgroup{*uid, read_container(rest.substr(rest.rfind(':') + 1))};
}

}  // namespace

std::optional<PodCgroup> pod_of_path(std::string_view path) {
  // From within another cgroup namespace the names above are not shown.
  bool below_pods = path.starts_with("/..");
  std::optional<PodCgroup> found;
  while (!path.empty()) {
    path.remove_prefix(std::min(path.size(), path.find_first_not_of('/')));
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    if (found) {
      if (found->container.empty() && !segment.empty()) found->container = read_container(segment);
      return found;
    }
    found = read_slice(segment);
    if (!found && below_pods && segment.starts_with("pod"))
      if (const auto uid = read_uid(segment.substr(3))) found = PodCgroup{*uid, ""};
    below_pods = below_pods || segment == "kubepods" || segment.ends_with("-kubepods");
  }
  return found;
}

std::optional<PodCgroup> pod_of_file(std::string_view text) {
  std::optional<PodCgroup> by_v1;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t controllers = line.find(':');
    if (controllers == std::string_view::npos) continue;
    // The path is the rest, colons and all.
    const size_t path = line.find(':', controllers + 1);
    if (path == std::string_view::npos) continue;
    const auto pod = pod_of_path(line.substr(path + 1));
    if (!pod) continue;
    if (line.starts_with("0::")) return pod;
    if (!by_v1) by_v1 = pod;
  }
  return by_v1;
}

}  // namespace weft::procfs
