#include "agent/kernel/bpffs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace weft::kernel {
namespace {

constexpr mode_t kDirectoryMode = 0700;
// Pins of ours are two directories deep below v<ABI>; a tree deeper than this is not ours to walk.
constexpr int kMaxDepth = 6;

base::Status check_bpffs(const std::string& directory) {
  struct statfs info{};
  if (statfs(directory.c_str(), &info) != 0) return base::fail_errno("statfs " + directory);
  if (static_cast<unsigned long>(info.f_type) == BPF_FS_MAGIC) return {};
  return base::fail(base::ErrorKind::kUnsupported,
                    directory + " is not on a bpf filesystem; mount one first: mount -t bpf bpf /sys/fs/bpf");
}

base::Status remove_entry(const std::string& path, int depth);

base::Status remove_children(const std::string& directory, int depth) {
  TRY_ASSIGN(auto names, list_directory(directory));
  for (const auto& name : names) TRY(remove_entry(directory + "/" + name, depth));
  return {};
}

base::Status remove_entry(const std::string& path, int depth) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? base::Status{} : base::fail_errno("stat " + path);
  if (!S_ISDIR(info.st_mode)) return remove_link(path);
  if (depth == 0) return base::fail(base::ErrorKind::kLimit, path + ": nested too deep to be weft's");
  TRY(remove_children(path, depth - 1));
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return base::fail_errno("rmdir " + path);
  return {};
}

}  // namespace

base::Status make_bpf_directory(const std::string& directory) {
  for (size_t end = directory.find('/', 1);; end = directory.find('/', end + 1)) {
    const std::string part = directory.substr(0, end);
    if (mkdir(part.c_str(), kDirectoryMode) == 0) {
      // What was just made on another filesystem is taken away again: the caller's mistake leaves no trace.
      if (auto ok = check_bpffs(part); !ok) {
        rmdir(part.c_str());
        return ok;
      }
    } else if (errno != EEXIST) {
      const int why = errno;
      if (why == EPERM || why == ENOENT) TRY(check_bpffs(part.substr(0, part.rfind('/'))));
      return base::fail_errno(why, "mkdir " + part);
    }
    if (end == std::string::npos) return check_bpffs(directory);
  }
}

base::Status check_bpf_directory(const std::string& directory) {
  std::string part = directory;
  while (!exists(part)) {
    const size_t end = part.rfind('/');
    if (end == std::string::npos || end == 0) return check_bpffs("/");
    part.resize(end);
  }
  return check_bpffs(part);
}

base::Result<base::Fd> lock_directory(const std::string& directory) {
  base::Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return base::fail_errno("open " + directory);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return base::fail_errno("lock " + directory);
  return base::fail(base::ErrorKind::kConflict, directory + " is in use by another weft-agent");
}

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

base::Result<std::vector<std::string>> list_directory(const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> handle(opendir(directory.c_str()), closedir);
  if (handle == nullptr) return base::fail_errno("open " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(handle.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

base::Result<base::Fd> open_pin(const std::string& path) {
  base::Fd fd(bpf_obj_get(path.c_str()));
  if (!fd) return base::fail_errno("open pin " + path);
  return fd;
}

base::Status pin(int fd, const std::string& path) {
  if (bpf_obj_pin(fd, path.c_str()) != 0) return base::fail_errno("pin " + path);
  return {};
}

base::Status replace_pin(int fd, const std::string& path) {
  const std::string aside = path + "-new";
  if (unlink(aside.c_str()) != 0 && errno != ENOENT) return base::fail_errno("remove " + aside);
  TRY(pin(fd, aside));
  return rename_pin(aside, path);
}

base::Status rename_pin(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return base::fail_errno("rename " + from + " to " + to);
  return {};
}

base::Status remove_link(const std::string& path) {
  base::Fd fd(bpf_obj_get(path.c_str()));
  // Maps know no detach: only the pin goes. A link whose cgroup or netns is gone is detached already.
  if (fd) bpf_link_detach(fd.get());
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::fail_errno("remove " + path);
  return {};
}

base::Status remove_tree(const std::string& path) {
  return remove_entry(path, kMaxDepth);
}

}  // namespace weft::kernel
