#include "agent/kube/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "userspace-proxy/base/fd.h"

namespace weft::kube {
namespace {

uint64_t stamp(const struct stat& st) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto mix = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001b3; };
  mix(st.st_ino);
  mix(st.st_dev);
  mix(static_cast<uint64_t>(st.st_size));
  mix(static_cast<uint64_t>(st.st_mtim.tv_sec));
  mix(static_cast<uint64_t>(st.st_mtim.tv_nsec));
  mix(static_cast<uint64_t>(st.st_ctim.tv_sec));
  mix(static_cast<uint64_t>(st.st_ctim.tv_nsec));
  return hash == 0 ? 1 : hash;
}

}  // namespace

base::Result<FileText> read_file(const std::string& path, size_t most) {
  // Not blocking: a path may name a FIFO.
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR)
      return base::fail(base::ErrorKind::kNotFound, path + ": no such file");
    return base::fail_errno("open " + path);
  }
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return base::fail_errno("stat " + path);
  if (!S_ISREG(st.st_mode)) return base::fail(base::ErrorKind::kInvalid, path + " is no regular file");
  FileText out{.text = {}, .stamp = stamp(st)};
  char buffer[8192];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno("read " + path);
    if (got == 0) return out;
    out.text.append(buffer, static_cast<size_t>(got));
    if (out.text.size() > most)
      return base::fail(base::ErrorKind::kLimit, fmt::format("{} is longer than {} bytes", path, most));
  }
}

uint64_t stamp_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? stamp(st) : 0;
}

bool file_exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace weft::kube
