#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/exclusion.h"
#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

// The first thing that is wrong makes the object exclude nothing; it is accepted all the same, so that no
// former form of it stays in force.
void refuse(const std::string& path, Mark mark, std::string why, CaptureExclusion& out, Report& report) {
  if (out.problem.empty()) out.problem = path + ": " + why;
  report.warn("NoEffect", path, mark, std::move(why));
}

bool fits(const Node& list, const std::string& path, CaptureExclusion& out, Report& report) {
  if (list.items().size() <= kMaxExcluded) return true;
  refuse(path, list.mark(), fmt::format("more than {} of them", kMaxExcluded), out, report);
  return false;
}

void read_ports(const Node& direction, const std::string& path, std::vector<uint16_t>& ports,
                CaptureExclusion& out, Report& report) {
  const Node& list = get(direction, "ports");
  if (!fits(list, path, out, report)) return;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& item = list.items()[i];
    const auto read = parse_excluded_ports(std::to_string(item.as_int()));
    if (read) ports.push_back(read->front());
    if (!read) refuse(item_path(path, i), item.mark(), read.error().what, out, report);
  }
}

void read_ranges(const Node& outbound, CaptureExclusion& out, Report& report) {
  constexpr const char* kPath = "spec.outbound.cidrs";
  const Node& list = get(outbound, "cidrs");
  if (!fits(list, kPath, out, report)) return;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& item = list.items()[i];
    auto range = parse_excluded_range(item.as_string());
    if (range) out.exclusions.outbound_ranges.push_back(*range);
    if (!range) refuse(item_path(kPath, i), item.mark(), range.error().what, out, report);
  }
}

}  // namespace

std::shared_ptr<Object> read_capture_exclusion(const Node& root, Report& report) {
  auto out = std::make_shared<CaptureExclusion>();
  const Node& spec = get(root, "spec");
  out->selector = read_labels(get(spec, "selector"), "matchLabels", "spec.selector.matchLabels", report);
  Exclusions read;
  read_ports(get(spec, "outbound"), "spec.outbound.ports", read.outbound_ports, *out, report);
  read_ranges(get(spec, "outbound"), *out, report);
  read_ports(get(spec, "inbound"), "spec.inbound.ports", read.inbound_ports, *out, report);
  merge(read, out->exclusions);  // in order, each once
  if (!out->problem.empty()) out->exclusions = {};
  if (out->problem.empty() && out->exclusions.empty())
    report.warn("NoEffect", "spec", spec.mark(), "it names no port and no range");
  return out;
}

}  // namespace weft::objects
