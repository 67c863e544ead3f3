#pragma once
// Files of the CA: read in bounds, written whole or not at all, looked at for changes.
#include <sys/stat.h>

#include <compare>
#include <string>
#include <string_view>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::ca {

inline constexpr size_t kMaxFile = 256 * 1024;

[[nodiscard]] bool exists(const std::string& path);
// kNotFound if it is not there, kLimit above kMaxFile, kInvalid if it is no file.
[[nodiscard]] base::Result<std::string> read_file(const std::string& path);
// Written aside with `mode`, synced, renamed; the directory is synced as well.
[[nodiscard]] base::Status write_file(const std::string& path, std::string_view text, mode_t mode);

// Tells one content of a file from the next.
struct Stamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t seconds = 0, nanos = 0;
  auto operator<=>(const Stamp&) const = default;
};
[[nodiscard]] Stamp stamp_of(const std::string& path);  // all zero: not there

// A lock on a directory that others (threads, processes, hosts that share it) respect, for as long as it lives.
class DirectoryLock {
 public:
  // Waits up to 10 s. kConflict if another holds it longer.
  static base::Result<DirectoryLock> take(const std::string& directory);

 private:
  explicit DirectoryLock(base::Fd fd) : fd_(std::move(fd)) {}
  base::Fd fd_;  // of the file ".lock"; never removed, a new one would be another lock
};

}  // namespace weft::ca
