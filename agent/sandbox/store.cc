#include "agent/sandbox/store.h"

#include <sys/stat.h>

#include <cstring>

#include "agent/sandbox/files.h"
#include "agent/parse/yaml.h"

namespace weft::sandbox {

bool is_cluster_wide(const std::string& kind) {
  return kind == "Namespace" || kind == "Node";
}

ObjectName name_of(const Json& object) {
  ObjectName name{text_at(object, "kind"), text_at(object, "metadata.namespace"),
                  text_at(object, "metadata.name")};
  if (is_cluster_wide(name.kind)) name.ns.clear();
  if (!is_cluster_wide(name.kind) && name.ns.empty()) name.ns = "default";
  return name;
}

std::string file_name(const ObjectName& name) {
  return name.ns.empty() ? name.kind + "." + name.name + ".yaml"
                         : name.kind + "." + name.ns + "." + name.name + ".yaml";
}

base::Result<std::vector<Json>> read_manifests(const std::string& text, const std::string& file) {
  auto result = parse::read_yaml(text, file);
  if (!result.findings.empty())
    return base::fail(base::ErrorKind::kInvalid, objects::to_string(result.findings.front()));
  std::vector<Json> documents;
  for (const auto& document : result.documents) documents.push_back(from_node(document.root));
  return documents;
}

bool Store::refresh() {
  bool changed = false;
  std::map<std::string, Seen> now;
  for (const std::string& file : list_directory(directory_)) {
    struct stat info{};
    if (file.front() == '.' || !file.ends_with(".yaml") ||
        ::stat((directory_ + "/" + file).c_str(), &info) != 0)
      continue;
    Seen seen{info.st_mtim, info.st_size, info.st_ino, {}};
    auto before = seen_.find(file);
    const bool same = before != seen_.end() && before->second.size == seen.size &&
                      before->second.inode == seen.inode &&
                      std::memcmp(&before->second.modified, &seen.modified, sizeof seen.modified) == 0;
    if (same) {
      now.emplace(file, before->second);
      continue;
    }
    auto text = read_file(directory_ + "/" + file);
    auto documents =
        text ? read_manifests(*text, file) : base::Result<std::vector<Json>>(std::unexpected(text.error()));
    if (!documents || documents->empty()) continue;
    seen.name = name_of(documents->front());
    objects_[seen.name] = std::move(documents->front());
    now.emplace(file, seen);
    changed = true;
  }
  for (const auto& [file, seen] : seen_) {
    if (now.contains(file)) continue;
    objects_.erase(seen.name);
    changed = true;
  }
  seen_ = std::move(now);
  return changed;
}

const Json* Store::find(const ObjectName& name) const {
  auto found = objects_.find(name);
  return found == objects_.end() ? nullptr : &found->second;
}

base::Status Store::put(const Json& object) {
  const ObjectName name = name_of(object);
  TRY(put_text(name, to_yaml(object)));
  objects_[name] = object;
  return {};
}

base::Status Store::put_text(const ObjectName& name, std::string_view text) {
  std::string& written = written_[name];
  if (written == text && exists(path_of(name))) return {};
  TRY(write_file(path_of(name), text));
  written = text;
  return {};
}

void Store::erase(const ObjectName& name) {
  remove_file(path_of(name));
  objects_.erase(name);
  written_.erase(name);
  seen_.erase(file_name(name));
}

}  // namespace weft::sandbox
