#include "agent/ca/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "userspace-proxy/base/clock.h"

namespace weft::ca {
namespace {

constexpr int kLockTries = 200;
constexpr base::Millis kLockPause{50};

base::Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::fail_errno("write " + path);
    text.remove_prefix(static_cast<size_t>(size));
  }
  return {};
}

base::Status sync_directory(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const base::Fd fd(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return base::fail_errno("sync directory of " + path);
  return {};
}

}  // namespace

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

base::Result<std::string> read_file(const std::string& path) {
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) return base::fail(base::ErrorKind::kNotFound, path + " is not there");
  if (!fd) return base::fail_errno("open " + path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return base::fail_errno("stat " + path);
  if (!S_ISREG(info.st_mode)) return base::fail(base::ErrorKind::kInvalid, path + " is no file");
  std::string text(kMaxFile + 1, '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t size = ::read(fd.get(), text.data() + filled, text.size() - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::fail_errno("read " + path);
    if (size == 0) break;
    filled += static_cast<size_t>(size);
  }
  if (filled > kMaxFile) return base::fail(base::ErrorKind::kLimit, fmt::format("{} is larger than {} bytes", path, kMaxFile));
  text.resize(filled);
  return text;
}

base::Status write_file(const std::string& path, std::string_view text, mode_t mode) {
  std::string aside = path + ".XXXXXX";
  const base::Fd fd(::mkostemp(aside.data(), O_CLOEXEC));  // mode 0600 until all of it is there
  if (!fd) return base::fail_errno("make " + aside);
  auto written = write_all(fd.get(), text, aside);
  if (written && ::fchmod(fd.get(), mode) != 0) written = base::fail_errno("chmod " + aside);
  if (written && ::fsync(fd.get()) != 0) written = base::fail_errno("sync " + aside);
  if (written && ::rename(aside.c_str(), path.c_str()) != 0) written = base::fail_errno("rename to " + path);
  if (!written) {
    ::unlink(aside.c_str());
    return written;
  }
  return sync_directory(path);
}

Stamp stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

base::Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/.lock";
  base::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return base::fail_errno("open " + path);
  for (int i = 0; i < kLockTries; ++i) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return DirectoryLock(std::move(fd));
    if (errno != EWOULDBLOCK && errno != EINTR) return base::fail_errno("lock " + path);
    std::this_thread::sleep_for(kLockPause);
  }
  return base::fail(base::ErrorKind::kConflict, path + " is held by another for more than 10 s");
}

}  // namespace weft::ca
