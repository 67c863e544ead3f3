#pragma once
// Small words for the readers. They see trees that passed their schema, so types are right; fields may be
// absent.
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/kubernetes.h"
#include "agent/objects/report.h"

namespace weft::objects {

[[nodiscard]] inline const Node& get(const Node& node, std::string_view key) {
  return node.at({key});
}
[[nodiscard]] std::string text(const Node& node, std::string_view key, std::string_view fallback = {});
[[nodiscard]] bool flag(const Node& node, std::string_view key, bool fallback = false);
[[nodiscard]] int64_t number(const Node& node, std::string_view key, int64_t fallback = 0);
[[nodiscard]] std::vector<std::string> texts(const Node& node, std::string_view key);
[[nodiscard]] Labels string_map(const Node& node, std::string_view key);
// Does the field hold something (not absent, not null)?
[[nodiscard]] bool has(const Node& node, std::string_view key);
[[nodiscard]] std::string item_path(std::string_view path, size_t index);  // "path[3]"

// These also check the values.
[[nodiscard]] Labels read_labels(const Node& node, std::string_view key, const std::string& path,
                                 Report& report);
[[nodiscard]] PortReference read_port_reference(const Node& node, const std::string& path, Report& report);
[[nodiscard]] TransportProtocol read_protocol(const Node& node, const std::string& path, Report& report);
[[nodiscard]] std::optional<base::Address> read_address(const Node& node, const std::string& path,
                                                        Report& report);
[[nodiscard]] std::vector<Condition> read_conditions(const Node& status);

// exportTo of Istio's kinds.
[[nodiscard]] std::vector<std::string> read_export_to(const Node& spec, Report& report);

// metadata of the object (or template) that `root` holds; `key` was read before.
void read_metadata(const Node& root, const ObjectKey& key, Metadata& meta, Report& report);

}  // namespace weft::objects
