#include "agent/procfs/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "userspace-proxy/base/fd.h"

namespace weft::procfs {
namespace {

std::string_view take_field(std::string_view& text) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
  const std::string_view field = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(field.size());
  return field;
}

std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> read_file(const std::string& path, size_t max_bytes) {
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string out;
  char block[8192];
  while (out.size() < max_bytes) {
    const ssize_t got = ::read(fd.get(), block, std::min(sizeof block, max_bytes - out.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    out.append(block, static_cast<size_t>(got));
  }
  return out;
}

std::vector<std::string> list_names(const std::string& directory, size_t max) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (!dir) return out;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && out.size() < max) out.emplace_back(name);
  }
  return out;
}

std::vector<pid_t> list_processes(const std::string& proc, size_t max) {
  std::vector<pid_t> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(proc.c_str()), closedir);
  if (!dir) return out;
  while (const dirent* entry = readdir(dir.get())) {
    const auto pid = number_in(entry->d_name);
    if (pid && *pid > 0 && *pid < INT32_MAX && out.size() < max) out.push_back(static_cast<pid_t>(*pid));
  }
  std::ranges::sort(out);
  return out;
}

std::optional<uint64_t> start_time_in(std::string_view stat) {
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(name_end + 1);
  for (int field = 3; field < 22; ++field) (void)take_field(stat);
  return number_in(take_field(stat));
}

std::vector<uint64_t> inodes_in(std::string_view net_unix) {
  std::vector<uint64_t> out;
  while (!net_unix.empty()) {
    std::string_view line = net_unix.substr(0, net_unix.find('\n'));
    net_unix.remove_prefix(std::min(net_unix.size(), line.size() + 1));
    // Num RefCount Protocol Flags Type St Inode Path
    for (int field = 0; field < 6; ++field) (void)take_field(line);
    if (const auto inode = number_in(take_field(line))) out.push_back(*inode);
  }
  return out;
}

}  // namespace weft::procfs
