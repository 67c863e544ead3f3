#pragma once
// What a pod leaves out of the mesh: what its annotations and objects of kind CaptureExclusion say, one form
// for both. Pure.
//   traffic.sidecar.istio.io/excludeOutboundPorts, excludeInboundPorts   comma list of ports
//   traffic.sidecar.istio.io/excludeOutboundIPRanges                    comma list of CIDRs
//   ambient.istio.io/bypass-inbound-capture                             "true": all arrivals
// Sources: Istio's annotation reference (classic names), and reference enrolment.md 1 for the last.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/object.h"
#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/result.h"

namespace weft::objects {

// Of one list of an annotation or an object.
inline constexpr size_t kMaxExcluded = 64;

// Sorted, each once; bits of a range beyond its prefix are zero. `inbound_ports` 0, then alone: every port.
struct Exclusions {
  std::vector<uint16_t> outbound_ports;
  std::vector<base::Cidr> outbound_ranges;
  std::vector<uint16_t> inbound_ports;
  [[nodiscard]] bool empty() const {
    return outbound_ports.empty() && outbound_ranges.empty() && inbound_ports.empty();
  }
  auto operator<=>(const Exclusions&) const = default;
};

// At most kMaxExcluded of them; an empty text is an empty list. Errors (kInvalid) name the word.
[[nodiscard]] base::Result<std::vector<uint16_t>> parse_excluded_ports(std::string_view text);
[[nodiscard]] base::Result<std::vector<base::Cidr>> parse_excluded_ranges(std::string_view text);
// "10.0.0.0/8", "fd00::/8" or one address.
[[nodiscard]] base::Result<base::Cidr> parse_excluded_range(std::string_view word);

// What a pod's annotations say. One that cannot be read makes none of them count, since capture is the safe
// side; `problem` is then a sentence, for the pod's status. `unserved`: a sentence on annotations that weft
// does not act on.
struct AnnotatedExclusions {
  Exclusions exclusions;
  std::string problem, unserved;
  bool operator==(const AnnotatedExclusions&) const = default;
};
[[nodiscard]] AnnotatedExclusions read_exclusions(const Labels& annotations);

// Puts `more` into `all`.
void merge(const Exclusions& more, Exclusions& all);
// "outbound 3306,10.9.0.0/16; inbound 8080", "inbound *"; empty for none.
[[nodiscard]] std::string to_string(const Exclusions& exclusions);

// weft.mesh/v1alpha1: leaves connections of the pods that it selects out of the mesh.
struct CaptureExclusion : Object {
  static constexpr Kind kKind = Kind::kCaptureExclusion;
  CaptureExclusion() : Object(kKind) {}
  Labels selector;        // empty: the namespace
  Exclusions exclusions;  // empty if there is a problem
  std::string problem;    // a value that cannot be used: then it excludes nothing
};

}  // namespace weft::objects
