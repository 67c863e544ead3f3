#pragma once
// YAML text -> Nodes. Bounded in size, depth, number of nodes and aliases, so also in time.
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/finding.h"
#include "agent/objects/node.h"

namespace weft::parse {

struct YamlLimits {
  size_t bytes = 8u << 20;
  size_t nodes =
      1'000'000;  // counted with aliases expanded; a long text copied by an alias counts as several
  size_t depth = 100;
  size_t aliases = 1'000;
};

struct YamlResult {
  std::vector<objects::Document> documents;  // empty documents are left out
  std::vector<objects::Finding>
      findings;  // not empty: the file is refused as a whole, there are no documents
};

// JSON is read too, being YAML. `file` is only named in marks and findings.
[[nodiscard]] YamlResult read_yaml(std::string_view text, const std::string& file,
                                   const YamlLimits& limits = {});

}  // namespace weft::parse
