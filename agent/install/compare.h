#pragma once
// What would change: an object as it is in the cluster against what an apply would make of it.
#include <string>
#include <vector>

#include "agent/objects/node.h"

namespace weft::install {

struct Difference {
  std::string path;                   // "spec.template.spec.containers[0].image"
  std::string before, after;          // as one line each; "-" for what is not there
  bool operator==(const Difference&) const = default;
};

// Differences in what somebody decides. Left out: status, and what the API server itself keeps in metadata (managedFields,
// resourceVersion, generation, uid, times). `applied` is the server's answer to a dry run, so both have its defaults.
[[nodiscard]] std::vector<Difference> differences(const objects::Node& live, const objects::Node& applied);

// "path: before -> after"
[[nodiscard]] std::string to_string(const Difference& difference);

}  // namespace weft::install
