#include "agent/install/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace weft::install {
namespace {

using objects::Node;

constexpr std::array<std::string_view, 6> kServersOwn = {"managedFields", "resourceVersion", "generation",
                                                         "uid",           "selfLink",        "creationTimestamp"};
constexpr size_t kLongest = 120;  // bytes of a value that is shown

bool is_servers_own(const std::string& path, std::string_view key) {
  if (path.empty()) return key == "status";
  return path == "metadata" && std::ranges::find(kServersOwn, key) != kServersOwn.end();
}

// null stands for what is absent.
std::string shown(const Node& node) {
  if (node.is_null()) return "-";
  std::string text = node.is_string() ? node.as_string() : objects::to_json(node, 0);
  std::ranges::replace(text, '\n', ' ');
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text.empty() ? "\"\"" : text;
}

// Depth: that of the objects, which their reader has bounded.
struct Walk {
  std::vector<Difference>& out;

  void values(const std::string& path, const Node& before, const Node& after) const {
    if (before == after) return;
    if (before.is_mapping() && after.is_mapping()) return mappings(path, before, after);
    if (before.is_sequence() && after.is_sequence()) return sequences(path, before, after);
    out.push_back({path, shown(before), shown(after)});
  }

  void mappings(const std::string& path, const Node& before, const Node& after) const {
    static const Node kAbsent;
    for (const auto& entry : before.entries()) {
      if (is_servers_own(path, entry.key)) continue;
      const Node* other = after.find(entry.key);
      values(below(path, entry.key), entry.value, other ? *other : kAbsent);
    }
    for (const auto& entry : after.entries())
      if (!before.find(entry.key) && !is_servers_own(path, entry.key))
        values(below(path, entry.key), kAbsent, entry.value);
  }

  void sequences(const std::string& path, const Node& before, const Node& after) const {
    static const Node kAbsent;
    const size_t count = std::max(before.items().size(), after.items().size());
    for (size_t i = 0; i < count; ++i)
      values(fmt::format("{}[{}]", path, i), i < before.items().size() ? before.items()[i] : kAbsent,
             i < after.items().size() ? after.items()[i] : kAbsent);
  }

  // Keys with dots, as labels have them, stand in brackets.
  static std::string below(const std::string& path, const std::string& key) {
    if (key.find_first_of("./") != std::string::npos) return fmt::format("{}[{}]", path, key);
    return path.empty() ? key : path + "." + key;
  }
};

}  // namespace

std::vector<Difference> differences(const Node& live, const Node& applied) {
  std::vector<Difference> out;
  Walk{out}.values("", live, applied);
  return out;
}

std::string to_string(const Difference& difference) {
  return fmt::format("{}: {} -> {}", difference.path, difference.before, difference.after);
}

}  // namespace weft::install
