#pragma once
// Objects in the sandbox are JSON trees: controllers read and write a few fields and carry the rest along.
// Access never throws; a missing or wrongly typed field reads as empty.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/node.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

using Json = nlohmann::json;

// `path` is keys separated by dots ("metadata.name"); list positions are numbers.
[[nodiscard]] const Json& at(const Json& object, std::string_view path);
[[nodiscard]] std::string text_at(const Json& object, std::string_view path, std::string_view otherwise = "");
[[nodiscard]] int64_t int_at(const Json& object, std::string_view path, int64_t otherwise = 0);
[[nodiscard]] bool bool_at(const Json& object, std::string_view path, bool otherwise = false);
[[nodiscard]] bool has(const Json& object, std::string_view path);
// A list's elements; nothing for anything else.
[[nodiscard]] const Json::array_t& list_at(const Json& object, std::string_view path);
// A scalar the way kubectl prints it.
[[nodiscard]] std::string scalar_text(const Json& value);
// metadata.labels, metadata.annotations, selectors: string to string.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> pairs_at(const Json& object,
                                                                        std::string_view path);
[[nodiscard]] std::string label_of(const Json& object, const std::string& key);
// Every pair of `selector` is in `labels`; an empty selector selects nothing.
[[nodiscard]] bool selects(const Json& selector, const Json& labels);

// Between the product's trees and ours; marks are lost, keys are sorted.
[[nodiscard]] Json from_node(const objects::Node& node);
[[nodiscard]] objects::Node to_node(const Json& value);
[[nodiscard]] base::Result<Json> parse_json(std::string_view text);
[[nodiscard]] std::string to_yaml(const Json& value);

}  // namespace weft::sandbox
