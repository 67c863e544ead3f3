#include "agent/watch/files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "userspace-proxy/base/fd.h"

namespace weft::watch {
namespace {

using base::ErrorKind;

FileIdentity identity_of(const struct stat& info) {
  const auto nanos = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = info.st_size,
          .mtime_ns = nanos(info.st_mtim),
          .ctime_ns = nanos(info.st_ctim)};
}

std::unexpected<base::Error> open_failure(const std::filesystem::path& path) {
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) return base::fail(ErrorKind::kNotFound, path.string());
  return base::fail_errno(error, fmt::format("{} cannot be read", path.string()));
}

// Birth, or the last change where the file system keeps no births.
objects::Time birth_at(int directory, const char* path, int flags) {
  struct statx info{};
  if (statx(directory, path, flags, STATX_BTIME | STATX_MTIME, &info) != 0) return {};
  const bool known = (info.stx_mask & STATX_BTIME) != 0;
  return objects::Time(std::chrono::seconds(known ? info.stx_btime.tv_sec : info.stx_mtime.tv_sec));
}

}  // namespace

bool is_manifest_name(std::string_view name) {
  if (name.starts_with('.') || name.starts_with('#')) return false;
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

bool is_manifest_directory_name(std::string_view name) {
  return !name.starts_with('.');
}

base::Result<FileIdentity> identify_file(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return open_failure(path);
  if (!S_ISREG(info.st_mode)) return base::fail(ErrorKind::kNotFound, path.string());
  return identity_of(info);
}

objects::Time birth_of_file(const std::filesystem::path& path) {
  return birth_at(AT_FDCWD, path.c_str(), 0);
}

base::Result<FileContent> read_file(const std::filesystem::path& path, size_t max_bytes) {
  // Non-blocking, or a FIFO named x.yaml would hold the thread for ever.
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return open_failure(path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return open_failure(path);
  if (!S_ISREG(info.st_mode)) return base::fail(ErrorKind::kNotFound, path.string());
  FileContent content;
  content.identity = identity_of(info);
  content.birth = birth_at(fd.get(), "", AT_EMPTY_PATH);
  const auto too_large = [&] {
    return base::fail(ErrorKind::kLimit, fmt::format("the file is larger than {} bytes", max_bytes));
  };
  if (info.st_size > static_cast<off_t>(max_bytes)) return too_large();
  // One byte more than it has tells whether it grew meanwhile.
  content.text.resize(static_cast<size_t>(info.st_size) + 1);
  size_t filled = 0;
  while (true) {
    const ssize_t got = ::read(fd.get(), content.text.data() + filled, content.text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return open_failure(path);
    filled += static_cast<size_t>(got);
    if (got == 0) break;
    if (filled > max_bytes) return too_large();
    if (filled == content.text.size()) content.text.resize(filled * 2);
  }
  content.text.resize(filled);
  return content;
}

}  // namespace weft::watch
