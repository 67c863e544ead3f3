#include "agent/sandbox/images.h"

#include <sstream>

namespace weft::sandbox {

std::string bare_image_name(std::string image) {
  image = image.substr(0, image.find('@'));
  const size_t slash = image.rfind('/');
  const size_t colon = image.rfind(':');
  if (colon != std::string::npos && (slash == std::string::npos || colon > slash)) image.resize(colon);
  for (const std::string prefix : {"docker.io/", "index.docker.io/", "library/"})
    if (image.starts_with(prefix)) image.erase(0, prefix.size());
  return image;
}

ImageTable::ImageTable(const std::string& programs, const std::map<std::string, std::string>& more) {
  images_ = {{"cmssw/httpgo", {{programs + "/httpgo"}, {}}},
             {"weft/httpgo", {{programs + "/httpgo"}, {}}},
             {"weft/echo", {{programs + "/echo"}, {}}},
             {"weft/agent", {{programs + "/weft-agent"}, {}}},
             {"weft/proxy", {{programs + "/weft-proxy"}, {}}},
             {"curl", {{"curl"}, {"--version"}}},
             {"curlimages/curl", {{"curl"}, {"--version"}}},
             {"bash", {{"bash"}, {"-c", "exec sleep infinity"}}},
             {"debian", {{"bash"}, {"-c", "exec sleep infinity"}}}};
  for (const auto& [name, command] : more) {
    Image image;
    std::istringstream words(command);
    for (std::string word; words >> word;) image.entrypoint.push_back(word);
    if (!image.entrypoint.empty()) images_[bare_image_name(name)] = image;
  }
}

const Image* ImageTable::find(const std::string& image) const {
  auto found = images_.find(bare_image_name(image));
  return found == images_.end() ? nullptr : &found->second;
}

std::vector<std::string> ImageTable::names() const {
  std::vector<std::string> out;
  for (const auto& [name, image] : images_) out.push_back(name);
  return out;
}

}  // namespace weft::sandbox
