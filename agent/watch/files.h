#pragma once
// Manifest files on disk: which names count, and reading one without being led astray by what it may turn out
// to be.
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "agent/objects/object.h"
#include "userspace-proxy/base/result.h"

namespace weft::watch {

// *.yaml, *.yml, *.json; not the hidden and temporary files of editors.
[[nodiscard]] bool is_manifest_name(std::string_view name);
// A directory to descend into: not hidden.
[[nodiscard]] bool is_manifest_directory_name(std::string_view name);

// Changes whenever the content of a path may have changed.
struct FileIdentity {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, mtime_ns = 0, ctime_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

struct FileContent {
  std::string text;
  FileIdentity identity;
  objects::Time birth;  // where the file system does not know it: the last change
};

// kNotFound: nothing is there, or no regular file. kLimit: larger than `max_bytes`. kSystem: it cannot be
// read.
[[nodiscard]] base::Result<FileIdentity> identify_file(const std::filesystem::path& path);
[[nodiscard]] objects::Time birth_of_file(const std::filesystem::path& path);  // 1970 if it is not there
[[nodiscard]] base::Result<FileContent> read_file(const std::filesystem::path& path, size_t max_bytes);

}  // namespace weft::watch
