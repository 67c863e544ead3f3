#pragma once
// Objects as files: one YAML file an object, named <Kind>.<namespace>.<name>.yaml.
#include <compare>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/sandbox/json.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

struct ObjectName {
  std::string kind, ns, name;  // ns is empty for cluster-wide kinds
  auto operator<=>(const ObjectName&) const = default;
};
using Objects = std::map<ObjectName, Json>;

[[nodiscard]] ObjectName name_of(const Json& object);
[[nodiscard]] bool is_cluster_wide(const std::string& kind);
[[nodiscard]] std::string file_name(const ObjectName& name);

// All documents of a manifest, read with the product's own reader; the error is its first finding.
[[nodiscard]] base::Result<std::vector<Json>> read_manifests(const std::string& text,
                                                             const std::string& file);

// One directory of objects. Owner and thread: whoever made it. Reading is cached by the files' time and size.
class Store {
 public:
  explicit Store(std::string directory) : directory_(std::move(directory)) {}

  // Looks at the directory again; true if anything differs from the last look. Unreadable files are left out.
  bool refresh();
  [[nodiscard]] const Objects& objects() const { return objects_; }
  [[nodiscard]] const Json* find(const ObjectName& name) const;

  // Writes the object if its text differs from what is there.
  base::Status put(const Json& object);
  base::Status put_text(const ObjectName& name, std::string_view text);
  void erase(const ObjectName& name);
  [[nodiscard]] std::string path_of(const ObjectName& name) const {
    return directory_ + "/" + file_name(name);
  }

 private:
  struct Seen {
    timespec modified{};
    int64_t size = 0;
    uint64_t inode = 0;
    ObjectName name;
  };

  std::string directory_;
  Objects objects_;
  std::map<std::string, Seen> seen_;           // by file name
  std::map<ObjectName, std::string> written_;  // texts that put() wrote
};

}  // namespace weft::sandbox
