#include <fmt/format.h>

#include <set>

#include "agent/objects/istio.h"
#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

// Refused by Istio: a block that is there but says nothing is a mistake.
void check_not_empty(const Node& node, const std::string& path, Report& report) {
  if (node.is_mapping() && node.entries().empty()) report.invalid(path, node, "the block must not be empty");
}

void check_policy(const Node& policy, const std::string& path, Report& report) {
  check_not_empty(policy, path, report);
  check_not_empty(get(policy, "connectionPool"), path + ".connectionPool", report);
  const Node& ports = get(policy, "portLevelSettings");
  for (size_t i = 0; i < ports.items().size(); ++i)
    check_not_empty(ports.items()[i], item_path(path + ".portLevelSettings", i), report);
}

}  // namespace

std::shared_ptr<Object> read_destination_rule(const Node& root, Report& report) {
  auto rule = std::make_shared<DestinationRule>();
  const Node& spec = get(root, "spec");
  const Node& host = get(spec, "host");
  rule->host = host.as_string();
  if (!is_wildcard_host(rule->host))
    report.invalid("spec.host", host,
                   fmt::format("expected a host, where \"*\" may only be the whole left-most label, found {}",
                               describe(host)));
  check_policy(get(spec, "trafficPolicy"), "spec.trafficPolicy", report);
  const Node& subsets = get(spec, "subsets");
  std::set<std::string> names;
  for (size_t i = 0; i < subsets.items().size(); ++i) {
    const Node& node = subsets.items()[i];
    const std::string path = item_path("spec.subsets", i);
    Subset subset{text(node, "name"), read_labels(node, "labels", path + ".labels", report), node.mark()};
    if (!is_dns_label(lower_case(subset.name)))
      report.invalid(path + ".name", get(node, "name"), "expected letters, digits and '-', at most 63");
    if (!names.insert(subset.name).second)
      report.invalid(path + ".name", get(node, "name"),
                     fmt::format("the subset \"{}\" occurs twice", subset.name));
    check_policy(get(node, "trafficPolicy"), path + ".trafficPolicy", report);
    rule->subsets.push_back(std::move(subset));
  }
  rule->export_to = read_export_to(spec, report);
  rule->selects_clients = has(spec, "workloadSelector");
  if (rule->selects_clients)
    report.warn("UnsupportedValue", "spec.workloadSelector", get(spec, "workloadSelector").mark(),
                "weft cannot hold a rule for some clients only yet: the whole rule has no effect");
  return rule;
}

}  // namespace weft::objects
