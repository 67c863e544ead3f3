#include "agent/objects/read.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/values.h"

namespace weft::objects {

std::string text(const Node& node, std::string_view key, std::string_view fallback) {
  const Node& value = get(node, key);
  return value.is_string() ? value.as_string() : std::string(fallback);
}

bool flag(const Node& node, std::string_view key, bool fallback) {
  const Node& value = get(node, key);
  return value.is_null() ? fallback : value.as_bool();
}

int64_t number(const Node& node, std::string_view key, int64_t fallback) {
  const Node& value = get(node, key);
  return value.is_null() ? fallback : value.as_int();
}

std::vector<std::string> texts(const Node& node, std::string_view key) {
  std::vector<std::string> out;
  for (const Node& item : get(node, key).items()) out.push_back(item.as_string());
  return out;
}

Labels string_map(const Node& node, std::string_view key) {
  Labels out;
  for (const Node::Entry& entry : get(node, key).entries()) out.emplace(entry.key, entry.value.as_string());
  return out;
}

bool has(const Node& node, std::string_view key) {
  return !get(node, key).is_null();
}

std::string item_path(std::string_view path, size_t index) {
  return fmt::format("{}[{}]", path, index);
}

Labels read_labels(const Node& node, std::string_view key, const std::string& path, Report& report) {
  for (const Node::Entry& entry : get(node, key).entries()) {
    if (!is_label_key(entry.key))
      report.error(
          "InvalidValue", path, entry.mark,
          fmt::format(
              "\"{}\" is no label name: expected [prefix/]name of at most 63 letters, digits, '-', '_' "
              "or '.'",
              entry.key));
    if (!is_label_value(entry.value.as_string()))
      report.invalid(
          fmt::format("{}[{}]", path, entry.key), entry.value,
          fmt::format("expected a label value (at most 63 letters, digits, '-', '_' or '.', with a letter or "
                      "digit at both ends), found {}",
                      describe(entry.value)));
  }
  return string_map(node, key);
}

PortReference read_port_reference(const Node& node, const std::string& path, Report& report) {
  if (node.is_string()) {
    if (!is_port_name(node.as_string()))
      report.invalid(path, node,
                     fmt::format("expected a port number or a port's name, found {}", describe(node)));
    return {.name = node.as_string()};
  }
  if (node.as_int() < 1 || node.as_int() > 65535) {
    report.invalid(path, node, fmt::format("expected a port from 1 to 65535, found {}", describe(node)));
    return {};
  }
  return {.number = static_cast<uint16_t>(node.as_int())};
}

TransportProtocol read_protocol(const Node& node, const std::string& path, Report& report) {
  const Node& value = get(node, "protocol");
  if (value.as_string() == "UDP") return TransportProtocol::kUdp;
  if (value.as_string() != "SCTP") return TransportProtocol::kTcp;
  report.unsupported_value(path + ".protocol", value,
                           "weft does not carry SCTP, the port is left to the cluster");
  return TransportProtocol::kSctp;
}

std::optional<base::Address> read_address(const Node& node, const std::string& path, Report& report) {
  auto address = base::Address::parse(node.as_string());
  if (address) return *address;
  report.invalid(path, node, fmt::format("expected an IP address, found {}", describe(node)));
  return std::nullopt;
}

std::vector<Condition> read_conditions(const Node& status) {
  std::vector<Condition> out;
  for (const Node& item : get(status, "conditions").items())
    out.push_back({text(item, "type"), text(item, "status"), text(item, "reason"), text(item, "message")});
  return out;
}

std::vector<std::string> read_export_to(const Node& spec, Report& report) {
  const Node& list = get(spec, "exportTo");
  std::vector<std::string> out;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& item = list.items()[i];
    const std::string& word = item.as_string();
    if (word != "." && word != "*" && !is_dns_label(word))
      report.invalid(item_path("spec.exportTo", i), item,
                     fmt::format("expected \".\", \"*\" or a namespace's name, found {}", describe(item)));
    if (word == "*" && list.items().size() > 1)
      report.invalid(item_path("spec.exportTo", i), item,
                     "\"*\" means everybody and cannot stand beside others");
    if (std::ranges::find(out, word) != out.end())
      report.invalid(item_path("spec.exportTo", i), item, fmt::format("{} occurs twice", describe(item)));
    out.push_back(word);
  }
  return out;
}

void read_metadata(const Node& root, const ObjectKey& key, Metadata& meta, Report& report) {
  const Node& node = get(root, "metadata");
  meta.name = key.name;
  meta.ns = key.ns;
  meta.uid = text(node, "uid");
  meta.resource_version = text(node, "resourceVersion");
  meta.generation = number(node, "generation");
  meta.labels = read_labels(node, "labels", "metadata.labels", report);
  meta.annotations = string_map(node, "annotations");
  if (has(node, "creationTimestamp"))
    meta.creation = parse_time(text(node, "creationTimestamp")).value_or(Time{});
  if (has(node, "deletionTimestamp")) meta.deletion = parse_time(text(node, "deletionTimestamp"));
  for (const Node& owner : get(node, "ownerReferences").items())
    meta.owners.push_back({.api_version = text(owner, "apiVersion"),
                           .kind = text(owner, "kind"),
                           .name = text(owner, "name"),
                           .uid = text(owner, "uid"),
                           .controller = flag(owner, "controller")});
}

}  // namespace weft::objects
