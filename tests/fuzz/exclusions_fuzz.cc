// Any four annotation values: what is read is bounded, in order and without stray bits; what is not read
// excludes nothing, and the sentence about it is one printable line.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/objects/exclusion.h"
#include "agent/objects/pre_mesh_policy.h"
#include "userspace-proxy/base/result.h"

using namespace weft;

namespace {

constexpr std::array<const char*, 5> kKeys = {
    "traffic.sidecar.istio.io/excludeOutboundPorts", "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeInboundPorts", "ambient.istio.io/bypass-inbound-capture",
    "traffic.sidecar.istio.io/includeInboundPorts"};

template <typename T>
void check_list(const std::vector<T>& list) {
  CHECK(list.size() <= objects::kMaxExcluded);
  CHECK(std::ranges::adjacent_find(list, [](const T& a, const T& b) { return !(a < b); }) == list.end());
}

void check_range(const base::Cidr& range) {
  CHECK(range.contains(range.address));
  CHECK(!range.address.is_v4() || range.prefix_length >= 96);
  const auto again = objects::parse_excluded_range(range.to_string());
  CHECK(again && *again == range);
}

}  // namespace

// Its first value, read as a policy on connections of before: good, or one printable sentence.
void check_policy(std::string_view text) {
  const auto policy = objects::parse_pre_mesh_policy(text);
  if (!policy) {
    CHECK(std::ranges::all_of(policy.error().what, [](char c) { return c >= ' ' && c <= '~'; }));
    return;
  }
  CHECK(!policy->end_after || *policy->end_after <= objects::kMaxDrain);
  CHECK(objects::parse_pre_mesh_policy(objects::to_string(*policy)) == *policy);
}

// One value a line.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  objects::Labels annotations;
  for (const char* key : kKeys) {
    if (rest.empty()) break;
    const size_t end = rest.find('\n');
    annotations[key] = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (const auto first = annotations.find(kKeys[0]); first != annotations.end()) check_policy(first->second);
  const auto read = objects::read_exclusions(annotations);
  CHECK(read.problem.empty() || read.exclusions.empty());
  CHECK(std::ranges::all_of(read.problem, [](char c) { return c >= ' ' && c <= '~'; }));
  check_list(read.exclusions.outbound_ports);
  check_list(read.exclusions.inbound_ports);
  check_list(read.exclusions.outbound_ranges);
  for (const auto& range : read.exclusions.outbound_ranges) check_range(range);
  objects::Exclusions twice = read.exclusions;
  objects::merge(read.exclusions, twice);
  CHECK(twice == read.exclusions);
  return 0;
}
