#pragma once
// Small files of credentials, read whole.
#include <cstdint>
#include <string>

#include "userspace-proxy/base/result.h"

namespace weft::kube {

struct FileText {
  std::string text;
  uint64_t stamp = 0;  // another one where the file was replaced or written to
};

// A regular file (through symbolic links) of at most `most` bytes. kNotFound: there is none; kLimit: too
// long.
[[nodiscard]] base::Result<FileText> read_file(const std::string& path, size_t most);
// The stamp alone; 0 if the file cannot be looked at.
[[nodiscard]] uint64_t stamp_of(const std::string& path);
[[nodiscard]] bool file_exists(const std::string& path);

}  // namespace weft::kube
