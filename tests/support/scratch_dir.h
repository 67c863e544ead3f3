#pragma once
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace weft::test {

// A directory of its own under /tmp, gone with the test.
class ScratchDir {
 public:
  ScratchDir() {
    std::string pattern = "/tmp/weft-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace weft::test
