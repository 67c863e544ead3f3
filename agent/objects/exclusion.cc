#include "agent/objects/exclusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr const char* kOutboundPorts = "traffic.sidecar.istio.io/excludeOutboundPorts";
constexpr const char* kOutboundRanges = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
constexpr const char* kInboundPorts = "traffic.sidecar.istio.io/excludeInboundPorts";
constexpr const char* kBypassInbound = "ambient.istio.io/bypass-inbound-capture";
// Each with the value that asks for what is done anyhow.
constexpr std::array<std::pair<const char*, const char*>, 4> kUnserved = {{
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "*"},
    {"traffic.sidecar.istio.io/includeOutboundPorts", ""},
    {"traffic.sidecar.istio.io/includeInboundPorts", "*"},
    {"traffic.sidecar.istio.io/excludeInterfaces", ""},
}};
constexpr uint16_t kTunnelPort = 15008;
constexpr size_t kMaxWord = 64;  // of what can be a port or a range at all
constexpr unsigned kV4Bits = 96;  // of the 16-byte form, before the IPv4 address

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

template <typename T>
void settle(std::vector<T>& list) {
  std::ranges::sort(list);
  const auto twice = std::ranges::unique(list);
  list.erase(twice.begin(), twice.end());
}

// An empty word between commas is as bad as any other that cannot be read.
template <typename T, typename Parse>
base::Result<std::vector<T>> parse_list(std::string_view text, Parse parse) {
  std::vector<T> out;
  text = trimmed(text);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view word = trimmed(text.substr(0, comma));
    if (out.size() == kMaxExcluded)
      return base::fail(base::ErrorKind::kLimit, fmt::format("more than {} of them", kMaxExcluded));
    TRY_ASSIGN(out.emplace_back(), parse(word));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return base::fail(base::ErrorKind::kInvalid, "nothing follows the last comma");
  }
  settle(out);
  return out;
}

base::Result<uint16_t> parse_excluded_port(std::string_view word) {
  const auto port = word.size() <= kMaxWord ? parse_port(word) : std::nullopt;
  if (!port)
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("expected a port from 1 to 65535, found {}", in_quotes(word)));
  if (*port == kTunnelPort)
    return base::fail(base::ErrorKind::kInvalid, fmt::format("port {} is the mesh's own", kTunnelPort));
  return *port;
}

template <typename T, typename Parse>
void read_list(const Labels& annotations, const char* key, Parse parse, std::vector<T>& list,
               std::string& problem) {
  const auto found = annotations.find(key);
  if (found == annotations.end()) return;
  if (auto read = parse(found->second)) {
    list = std::move(*read);
  } else if (problem.empty()) {
    problem = fmt::format("annotation {}: {}", key, read.error().what);
  }
}

void read_bypass(const Labels& annotations, AnnotatedExclusions& out) {
  const auto found = annotations.find(kBypassInbound);
  if (found == annotations.end() || found->second == "false") return;
  if (found->second == "true") {
    out.exclusions.inbound_ports = {0};
  } else if (out.problem.empty()) {
    out.problem =
        fmt::format("annotation {}: expected true or false, found {}", kBypassInbound, in_quotes(found->second));
  }
}

template <typename T>
void add_all(const std::vector<T>& more, std::vector<T>& all) {
  all.insert(all.end(), more.begin(), more.end());
  settle(all);
}

}  // namespace

base::Result<base::Cidr> parse_excluded_range(std::string_view word) {
  auto range = word.size() <= kMaxWord
                   ? base::Cidr::parse(word)
                   : base::Result<base::Cidr>(base::fail(base::ErrorKind::kInvalid, "too long"));
  // A range that holds all IPv4 addresses among others is no range of one family.
  if (!range || (range->address.is_v4() && range->prefix_length < kV4Bits))
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("expected an address range such as 10.0.0.0/8, found {}", in_quotes(word)));
  for (unsigned bit = range->prefix_length; bit < 128; ++bit)
    range->address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
  return *range;
}

base::Result<std::vector<uint16_t>> parse_excluded_ports(std::string_view text) {
  return parse_list<uint16_t>(text, parse_excluded_port);
}

base::Result<std::vector<base::Cidr>> parse_excluded_ranges(std::string_view text) {
  return parse_list<base::Cidr>(text, parse_excluded_range);
}

AnnotatedExclusions read_exclusions(const Labels& annotations) {
  AnnotatedExclusions out;
  read_list(annotations, kOutboundPorts, parse_excluded_ports, out.exclusions.outbound_ports, out.problem);
  read_list(annotations, kOutboundRanges, parse_excluded_ranges, out.exclusions.outbound_ranges, out.problem);
  read_list(annotations, kInboundPorts, parse_excluded_ports, out.exclusions.inbound_ports, out.problem);
  read_bypass(annotations, out);
  if (!out.problem.empty()) out.exclusions = {};
  for (const auto& [key, harmless] : kUnserved) {
    const auto found = annotations.find(key);
    if (found == annotations.end() || found->second == harmless) continue;
    out.unserved += fmt::format("{}annotation {}", out.unserved.empty() ? "" : ", ", key);
  }
  if (!out.unserved.empty())
    out.unserved +=
        " has no effect: everything is captured but what is excluded, say it with exclude annotations";
  return out;
}

void merge(const Exclusions& more, Exclusions& all) {
  add_all(more.outbound_ports, all.outbound_ports);
  add_all(more.outbound_ranges, all.outbound_ranges);
  add_all(more.inbound_ports, all.inbound_ports);
  if (!all.inbound_ports.empty() && all.inbound_ports.front() == 0) all.inbound_ports = {0};
}

std::string to_string(const Exclusions& exclusions) {
  std::string outbound, inbound;
  const auto add = [](std::string& list, const std::string& word) {
    list += (list.empty() ? "" : ",") + word;
  };
  for (const uint16_t port : exclusions.outbound_ports) add(outbound, std::to_string(port));
  for (const base::Cidr& range : exclusions.outbound_ranges) add(outbound, range.to_string());
  for (const uint16_t port : exclusions.inbound_ports) add(inbound, port == 0 ? "*" : std::to_string(port));
  std::string out;
  if (!outbound.empty()) out = "outbound " + outbound;
  if (!inbound.empty()) out += (out.empty() ? "inbound " : "; inbound ") + inbound;
  return out;
}

}  // namespace weft::objects
