#include "agent/cni/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "userspace-proxy/base/fd.h"

namespace weft::cni {
namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// A name that no runtime takes for a configuration.
std::string aside_of(const std::string& path) {
  return directory_of(path) + "/.weft-" + path.substr(path.rfind('/') + 1) + ".new";
}

base::Status write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return base::fail_errno("write " + path);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return {};
}

base::Status sync_directory(const std::string& directory) {
  const base::Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return base::fail_errno("sync " + directory);
  return {};
}

base::Status write_new(const std::string& aside, std::string_view bytes, mode_t mode,
                       const struct stat* former) {
  unlink(aside.c_str());  // of an agent that died while it wrote
  const base::Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return base::fail_errno("create " + aside);
  TRY(write_all(fd.get(), bytes, aside));
  if (former != nullptr && fchown(fd.get(), former->st_uid, former->st_gid) != 0)
    return base::fail_errno("give " + aside + " its owner");
  if (fchmod(fd.get(), former != nullptr ? former->st_mode & 07777 : mode) != 0)
    return base::fail_errno("give " + aside + " its mode");
  if (fsync(fd.get()) != 0) return base::fail_errno("sync " + aside);
  return {};
}

base::Status put(const std::string& path, std::string_view bytes, mode_t mode, const struct stat* former) {
  const std::string aside = aside_of(path);
  if (auto written = write_new(aside, bytes, mode, former); !written) {
    unlink(aside.c_str());
    return written;
  }
  return rename_file(aside, path);
}

}  // namespace

base::Result<std::string> read_whole(const std::string& path, size_t max_bytes) {
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return base::fail_errno("open " + path);
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return base::fail_errno("inspect " + path);
  if (!S_ISREG(info.st_mode)) return base::fail(base::ErrorKind::kInvalid, path + " is no regular file");
  std::string out;
  char block[16384];
  for (;;) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno("read " + path);
    if (got == 0) return out;
    out.append(block, static_cast<size_t>(got));
    if (out.size() > max_bytes)
      return base::fail(base::ErrorKind::kLimit,
                        path + " is longer than " + std::to_string(max_bytes) + " bytes");
  }
}

base::Status replace_file(const std::string& path, std::string_view bytes, mode_t mode) {
  std::string target = path;
  struct stat former{};
  const bool there = lstat(path.c_str(), &former) == 0;
  if (there && S_ISLNK(former.st_mode)) {
    char resolved[PATH_MAX];
    if (realpath(path.c_str(), resolved) == nullptr) return base::fail_errno("follow the link " + path);
    target = resolved;
    if (stat(resolved, &former) != 0) return base::fail_errno("inspect " + target);
  }
  if (there && !S_ISREG(former.st_mode))
    return base::fail(base::ErrorKind::kConflict, target + " is no regular file");
  return put(target, bytes, mode, there ? &former : nullptr);
}

base::Status install_file(const std::string& path, std::string_view bytes, mode_t mode) {
  return put(path, bytes, mode, nullptr);
}

base::Status rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return base::fail_errno("rename " + from + " to " + to);
  return sync_directory(directory_of(to));
}

bool exists(const std::string& path) {
  struct stat info{};
  return lstat(path.c_str(), &info) == 0;
}

}  // namespace weft::cni
