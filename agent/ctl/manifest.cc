#include "agent/ctl/manifest.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <sstream>

#include "agent/objects/objects.h"
#include "agent/sandbox/files.h"
#include "agent/parse/yaml.h"

namespace weft::ctl {
namespace {

namespace fs = std::filesystem;
using sandbox::Json;

bool is_manifest(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

base::Result<std::vector<std::string>> files_of(const std::string& path) {
  if (path == "-") return std::vector<std::string>{path};
  std::error_code error;
  if (!fs::exists(path, error))
    return base::fail(base::ErrorKind::kNotFound, path + ": no such file or directory");
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(path, error); it != fs::recursive_directory_iterator();
       it.increment(error)) {
    if (error) return base::fail(base::ErrorKind::kSystem, path + ": " + error.message());
    if (it->is_regular_file(error) && is_manifest(it->path())) files.push_back(it->path());
  }
  std::ranges::sort(files);
  if (files.empty())
    return base::fail(base::ErrorKind::kNotFound, path + ": no .yaml, .yml or .json file in it");
  return files;
}

std::vector<Json> items_of(const Json& document) {
  if (!sandbox::text_at(document, "kind").ends_with("List")) return {document};
  const auto& items = sandbox::list_at(document, "items");
  return {items.begin(), items.end()};
}

// The lines of the document that begins at `first`, with as many empty ones before it.
std::string lines_of_document(const std::string& text, uint32_t first) {
  std::istringstream lines(text);
  std::string out, line;
  for (uint32_t number = 1; std::getline(lines, line); ++number) {
    const bool ends = line.starts_with("---") || line.starts_with("...");
    if (number > first && ends) break;
    out += number < first ? "\n" : line + "\n";
  }
  return out;
}

}  // namespace

void read_manifest(const std::string& text, const std::string& file, const std::string& ns, Loaded* loaded) {
  const auto read = parse::read_yaml(text, file);
  loaded->findings.insert(loaded->findings.end(), read.findings.begin(), read.findings.end());
  for (const auto& document : read.documents) {
    bool refused = false;
    for (const auto& decoded : objects::decode(document, {.default_namespace = ns})) {
      loaded->findings.insert(loaded->findings.end(), decoded.findings.begin(), decoded.findings.end());
      refused |= objects::has_error(decoded.findings);
    }
    if (refused) continue;
    const Json tree = sandbox::from_node(document.root);
    for (Json item : items_of(tree)) {
      Manifest manifest;
      manifest.file = file;
      const bool as_written = item == tree && (sandbox::has(item, "metadata.namespace") || ns == "default");
      manifest.name = sandbox::name_of(item);
      const bool namespaced = !sandbox::is_cluster_wide(manifest.name.kind);
      if (namespaced && !sandbox::has(item, "metadata.namespace")) {
        item["metadata"]["namespace"] = ns;
        manifest.name.ns = ns;
      }
      if (as_written) {
        manifest.text = lines_of_document(text, document.root.mark().line);
      }
      manifest.object = std::move(item);
      loaded->manifests.push_back(std::move(manifest));
    }
  }
}

base::Result<Loaded> load_manifests(const std::vector<std::string>& paths, const std::string& ns) {
  Loaded loaded;
  for (const std::string& path : paths) {
    TRY_ASSIGN(const auto files, files_of(path));
    for (const std::string& file : files) {
      if (file == "-") {
        const std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
        read_manifest(text, "stdin", ns, &loaded);
        continue;
      }
      TRY_ASSIGN(const auto text, sandbox::read_file(file));
      read_manifest(text, file, ns, &loaded);
    }
  }
  return loaded;
}

}  // namespace weft::ctl
