#pragma once
// Manifests on their way in: found, read, checked.
#include <string>
#include <vector>

#include "agent/objects/finding.h"
#include "agent/sandbox/store.h"

namespace weft::ctl {

struct Manifest {
  sandbox::ObjectName name;
  sandbox::Json object;  // with its namespace filled in
  // The document as written, on the lines it has in its file, so that what is said about it later points
  // there. Empty where the object had to be changed or came in a List.
  std::string text;
  std::string file;
};

struct Loaded {
  std::vector<Manifest> manifests;
  std::vector<objects::Finding> findings;
};

// Files, directories (every .yaml, .yml and .json below them) or "-" for stdin. `ns`: for objects that name
// none.
[[nodiscard]] base::Result<Loaded> load_manifests(const std::vector<std::string>& paths,
                                                  const std::string& ns);
// One file's text. Pure.
void read_manifest(const std::string& text, const std::string& file, const std::string& ns, Loaded* loaded);

}  // namespace weft::ctl
