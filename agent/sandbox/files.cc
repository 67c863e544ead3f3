#include "agent/sandbox/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

namespace weft::sandbox {
namespace {

base::Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return base::fail_errno("write " + path);
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

base::Status replace_file(const std::string& path, std::string_view text, mode_t mode,
                          std::optional<uid_t> owner) {
  // A leading dot keeps half-written files away from everyone who lists the directory.
  const size_t slash = path.rfind('/');
  const std::string beside = path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".tmp";
  // Of a secret not even what a killed writer left is written on: it may be open elsewhere.
  if (owner) ::unlink(beside.c_str());
  {
    base::Fd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (owner ? O_EXCL : O_TRUNC), mode));
    if (!fd) return base::fail_errno("create " + beside);
    if (owner && ::fchown(fd.get(), *owner, *owner) != 0) return base::fail_errno("chown " + beside);
    TRY(write_all(fd.get(), text, beside));
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return base::fail_errno("rename to " + path);
  return {};
}

base::Result<base::Fd> open_lock(const std::string& path, int operation) {
  base::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return base::fail_errno("open " + path);
  if (::flock(fd.get(), operation) == 0) return fd;
  if (errno == EWOULDBLOCK)
    return base::fail(base::ErrorKind::kConflict, path + " is held by another process");
  return base::fail_errno("lock " + path);
}

}  // namespace

base::Result<std::string> read_file(const std::string& path) {
  base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno("open " + path);
  std::string text;
  char block[16384];
  while (true) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno("read " + path);
    if (got == 0) return text;
    text.append(block, static_cast<size_t>(got));
  }
}

base::Status write_file(const std::string& path, std::string_view text) {
  return replace_file(path, text, 0644, std::nullopt);
}

base::Status write_private_file(const std::string& path, std::string_view text, uid_t owner) {
  return replace_file(path, text, 0600, owner);
}

base::Status write_kernel_file(const std::string& path, std::string_view text) {
  base::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno("open " + path);
  return write_all(fd.get(), text, path);
}

base::Status make_directories(const std::string& path, unsigned mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return base::fail_errno("mkdir " + part);
    if (slash == std::string::npos) return {};
  }
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), &::closedir);
  if (!dir) return names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool is_directory(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void remove_file(const std::string& path) {
  ::unlink(path.c_str());
}

base::Status remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return base::fail_errno(error.value(), "remove " + path);
  return {};
}

base::Result<FileLock> FileLock::try_take(const std::string& path) {
  TRY_ASSIGN(auto fd, open_lock(path, LOCK_EX | LOCK_NB));
  return FileLock(std::move(fd));
}

base::Result<FileLock> FileLock::wait_for(const std::string& path) {
  TRY_ASSIGN(auto fd, open_lock(path, LOCK_EX));
  return FileLock(std::move(fd));
}

bool FileLock::is_free(const std::string& path) {
  base::Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  return !fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace weft::sandbox
