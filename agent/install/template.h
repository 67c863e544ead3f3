#pragma once
// Manifests with holes: "${NAME}" as a value, or inside one.
#include <map>
#include <string>

#include "agent/objects/node.h"

namespace weft::install {

using Values = std::map<std::string, objects::Node>;

// Fills the holes. A value that is one hole takes the type of what fills it, and is left out, with its key, where that is
// null; inside a longer text only strings fill. Since trees are filled, not text, no value can change an object's form.
// REQUIRES: every hole has a value (the templates are the program's own: a hole without one is a fault of it, and ends it).
[[nodiscard]] objects::Node fill(const objects::Node& node, const Values& values);

}  // namespace weft::install
