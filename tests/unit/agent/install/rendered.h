#pragma once
// The rendered YAML, read again as kubectl would.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "agent/install/render.h"
#include "agent/parse/yaml.h"

namespace weft::install {

using objects::Node;

inline Settings plain_settings() {
  return default_settings("1.2.3");
}

inline std::vector<Node> read_again(const std::string& yaml) {
  const auto read = parse::read_yaml(yaml, "rendered");
  EXPECT_TRUE(read.findings.empty());
  std::vector<Node> out;
  for (const auto& document : read.documents) out.push_back(document.root);
  return out;
}

inline std::string name_of(const Node& object) {
  return object.at({"metadata", "name"}).as_string();
}

// The first object of that kind and name; a null Node if there is none.
inline const Node& find(const std::vector<Node>& objects, std::string_view kind, std::string_view name) {
  static const Node kNone;
  for (const Node& object : objects)
    if (object.at({"kind"}).as_string() == kind && name_of(object) == name) return object;
  return kNone;
}

// Compares with tests/golden/<file>; WEFT_UPDATE_GOLDEN=1 writes the file instead.
inline void expect_golden(const std::string& text, const std::string& file) {
  const std::string path = std::string(WEFT_SOURCE_DIR) + "/tests/golden/" + file;
  if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream in(path);
  const std::string golden{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, golden) << path << ": run the test with WEFT_UPDATE_GOLDEN=1 and read the difference";
}

}  // namespace weft::install
