#pragma once
// Small file helpers: whole reads, atomic writes, directory lists, a lock that dies with its process.
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

[[nodiscard]] base::Result<std::string> read_file(const std::string& path);
// Writes beside the target and renames: a reader sees the old or the new text, never a part.
[[nodiscard]] base::Status write_file(const std::string& path, std::string_view text);
// The same for secrets: `owner` alone can read the file, also while it is being written.
[[nodiscard]] base::Status write_private_file(const std::string& path, std::string_view text, uid_t owner);
// Writes in place, for files of the kernel (cgroup, sysctl).
[[nodiscard]] base::Status write_kernel_file(const std::string& path, std::string_view text);
[[nodiscard]] base::Status make_directories(const std::string& path, unsigned mode = 0755);
// Names of the entries, sorted, without "." and ".."; nothing if the directory is not there.
[[nodiscard]] std::vector<std::string> list_directory(const std::string& path);
[[nodiscard]] bool exists(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
void remove_file(const std::string& path);
// REQUIRES: nothing is mounted below `path`.
[[nodiscard]] base::Status remove_tree(const std::string& path);

// An exclusive flock; released when it dies or its process does.
class FileLock {
 public:
  // Fails with kConflict if another process holds it.
  static base::Result<FileLock> try_take(const std::string& path);
  static base::Result<FileLock> wait_for(const std::string& path);
  // Nobody holds it at this moment.
  static bool is_free(const std::string& path);
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit FileLock(base::Fd fd) : fd_(std::move(fd)) {}
  base::Fd fd_;
};

}  // namespace weft::sandbox
