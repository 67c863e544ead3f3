#pragma once
// Host names as Istio means them: short names, wildcards, visibility. All functions are pure.
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::state {

// Lower case; a short name is completed with the namespace of the rule that wrote it, never of the service.
[[nodiscard]] std::string complete_host(std::string_view host, std::string_view rule_ns,
                                        std::string_view domain);
[[nodiscard]] std::string service_hostname(std::string_view name, std::string_view ns,
                                           std::string_view domain);

// A wildcard begins with '*'; "*" alone is everything.
[[nodiscard]] bool is_wildcard(std::string_view host);
// "*.foo.com" covers a.foo.com, b.a.foo.com and *.a.foo.com, not foo.com.
[[nodiscard]] bool covers(std::string_view pattern, std::string_view host);
// The narrower of two hosts of which one covers the other.
[[nodiscard]] std::optional<std::string> intersection(const std::string& a, const std::string& b);
// Exact before wildcard, longer before shorter, then by text: the order in which patterns are tried.
[[nodiscard]] bool more_specific(const std::string& a, const std::string& b);

// "ns/name" of a gateway as written in a rule of `rule_ns`; "mesh" stays as it is.
[[nodiscard]] std::string complete_gateway(std::string_view gateway, std::string_view rule_ns);

// exportTo of a rule. Nothing written means everybody.
struct Visibility {
  bool everybody = true;
  std::set<std::string> namespaces;  // holds if not everybody; "." is already the own namespace
  [[nodiscard]] bool in(const std::string& ns) const { return everybody || namespaces.contains(ns); }
  auto operator<=>(const Visibility&) const = default;
};
[[nodiscard]] Visibility visibility_of(const std::vector<std::string>& export_to, const std::string& own_ns);

}  // namespace weft::state
