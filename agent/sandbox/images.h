#pragma once
// Images without a registry: a table from image name to the program that stands for it.
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft::sandbox {

struct Image {
  std::vector<std::string> entrypoint;  // replaced by a container's `command`
  std::vector<std::string> arguments;   // replaced by a container's `args`
};

// "docker.io/library/cmssw/httpgo:latest@sha256:..." -> "cmssw/httpgo"
[[nodiscard]] std::string bare_image_name(std::string image);

// Owner: the daemon. Immutable.
class ImageTable {
 public:
  // `programs`: directory of our own binaries. `more`: names given at `up --image NAME=COMMAND`.
  ImageTable(const std::string& programs, const std::map<std::string, std::string>& more);

  [[nodiscard]] const Image* find(const std::string& image) const;
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::map<std::string, Image> images_;
};

}  // namespace weft::sandbox
