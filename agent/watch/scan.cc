#include <algorithm>
#include <filesystem>

#include "agent/watch/directory.h"
#include "agent/watch/files.h"

namespace weft::watch {
namespace {

namespace fs = std::filesystem;

void refuse(ScanResult& result, const fs::path& path, std::string_view code, std::string message) {
  result.findings.push_back(
      {.code = std::string(code), .file = path.string(), .message = std::move(message)});
}

std::vector<fs::path> list_files(const fs::path& root, ScanResult& result) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(root, fs::directory_options::skip_permission_denied, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename();
    std::error_code ignored;
    if (entries->symlink_status(ignored).type() == fs::file_type::directory) {
      if (!is_manifest_directory_name(name)) entries.disable_recursion_pending();
    } else if (is_manifest_name(name)) {
      files.push_back(entries->path());
    }
  }
  if (error) refuse(result, root, "Unreadable", error.message());
  std::ranges::sort(files);
  return files;
}

void take_document(ScanResult& result, objects::Document document, const objects::DecodeOptions& options) {
  std::vector<objects::Decoded> decoded = objects::decode(document, options);
  // A List yields one result per item.
  const auto& items = document.root.at({"items"}).items();
  const bool is_list = document.root.at({"kind"}).as_string() == "List" && decoded.size() == items.size();
  for (size_t i = 0; i < decoded.size(); ++i)
    result.objects.push_back({is_list ? items[i] : document.root, std::move(decoded[i]), document.file});
}

void take_file(ScanResult& result, const fs::path& path, const objects::DecodeOptions& options,
               const parse::YamlLimits& limits) {
  const auto content = read_file(path, limits.bytes);
  if (!content) {
    const bool gone = content.error().kind == base::ErrorKind::kNotFound;
    return refuse(result, path, "Unreadable",
                  gone ? "there is no such file" : base::describe(content.error()));
  }
  parse::YamlResult yaml = parse::read_yaml(content->text, path.string(), limits);
  std::ranges::move(yaml.findings, std::back_inserter(result.findings));
  for (objects::Document& document : yaml.documents) take_document(result, std::move(document), options);
}

}  // namespace

ScanResult scan(const fs::path& path, const objects::DecodeOptions& options, const parse::YamlLimits& limits) {
  ScanResult result;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    take_file(result, path, options, limits);
    return result;
  }
  for (const fs::path& file : list_files(path, result)) take_file(result, file, options, limits);
  return result;
}

}  // namespace weft::watch
