#include "agent/objects/finding.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/kinds.h"

namespace weft::objects {

std::string_view name_of(Kind kind) {
  return traits_of(kind).name;
}

bool is_namespaced(Kind kind) {
  return traits_of(kind).namespaced;
}

std::optional<Kind> kind_of(std::string_view word) {
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const KindTraits& traits : all_kinds()) {
    std::string name(traits.name);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower == name || lower == traits.plural || (!traits.short_name.empty() && lower == traits.short_name))
      return traits.kind;
  }
  return std::nullopt;
}

std::string to_string(const ObjectKey& key) {
  if (key.ns.empty()) return fmt::format("{} {}", name_of(key.kind), key.name);
  return fmt::format("{} {}/{}", name_of(key.kind), key.ns, key.name);
}

std::string to_string(const Finding& finding) {
  std::string out = finding.file;
  if (finding.line > 0) out += fmt::format(":{}:{}", finding.line, finding.column);
  if (!out.empty()) out += ": ";
  out += finding.severity == Severity::kError ? "error: " : "warning: ";
  if (!finding.path.empty()) out += finding.path + ": ";
  return out + finding.message + " [" + finding.code + "]";
}

std::string clip(std::string text) {
  constexpr size_t kMost = 500;
  if (text.size() <= kMost) return text;
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "...";
}

bool has_error(const std::vector<Finding>& findings) {
  return std::ranges::any_of(findings, [](const Finding& f) { return f.severity == Severity::kError; });
}

}  // namespace weft::objects
