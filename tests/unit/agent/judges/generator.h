#pragma once
// Random policies, pods and connections, dense where the judges could differ: few names, some the beginning of others;
// ranges inside ranges; every kind of list alone and together.
#include <random>
#include <string>
#include <vector>

#include "tests/support/policy_builders.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::test {

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  bool one_in(size_t n) { return below(n) == 0; }
  template <size_t N>
  std::string pick(const char* const (&words)[N]) {
    return words[below(N)];
  }

  static constexpr const char* kNamespaces[] = {"a", "ab", "b"};
  static constexpr const char* kAccounts[] = {"x", "xy", "y"};
  static constexpr const char* kAddresses[] = {"10.1.2.3",    "10.1.2.4", "10.1.3.3", "10.200.0.1", "192.168.0.1",
                                               "203.0.113.9", "fd00::1",  "fd00::2",  "2001:db8::1"};
  static constexpr uint16_t kPorts[] = {80, 443, 8080, 65535};

  // One enrolled pod of this node for each account of each namespace.
  model::Snapshot snapshot() {
    model::Snapshot out;
    for (const char* ns : kNamespaces)
      for (const char* account : kAccounts) add_pod(out, ns, account);
    const size_t count = below(8);
    for (size_t i = 0; i < count; ++i) out.policy_rules.push_back(rule(static_cast<uint32_t>(i + 1)));
    for (auto& pod : out.local_pods) {
      for (uint32_t i = 0; i < out.policy_rules.size(); ++i)
        if (one_in(2)) pod.rules.push_back(i);
      pod.peer_mode = mode(4);
      for (const uint16_t port : kPorts)
        if (one_in(6)) pod.port_modes.push_back({.port = port, .mode = mode(2)});
    }
    return out;
  }

  base::Address address() { return *base::Address::parse(pick(kAddresses)); }
  uint16_t port() { return kPorts[below(std::size(kPorts))]; }
  model::SpiffeId tls_identity() {
    return {one_in(3) ? "other.org" : "cluster.local", pick(kNamespaces), pick(kAccounts)};
  }

 private:
  model::PeerMode mode(size_t strict_one_in) {
    return one_in(strict_one_in) ? model::PeerMode::kStrict : model::PeerMode::kPermissive;
  }

  void add_pod(model::Snapshot& out, const std::string& ns, const std::string& account) {
    const auto index = static_cast<uint32_t>(out.workloads.size());
    model::Workload pod{.name = account, .ns = ns, .service_account = account, .enrolled = true, .local = true};
    pod.addresses.push_back(*base::Address::parse("10.1.9." + std::to_string(index + 1)));
    if (one_in(2)) pod.addresses.push_back(*base::Address::parse("fd00::9:" + std::to_string(index + 1)));
    out.workloads.push_back(pod);
    out.local_pods.push_back({.workload = index});
  }

  std::vector<model::StringPattern> principals() {
    static constexpr const char* kTexts[] = {
        "cluster.local/ns/a/sa/x", "cluster.local/ns/ab/sa/xy", "other.org/ns/a/sa/x", "cluster.local/ns/a/*",
        "cluster.local/ns/a*",     "cluster.local/ns/ab/sa/*",  "cluster.local/*",     "cluster.local/ns/b/sa/x*",
        "other.org/*",             "*/sa/x",                    "*y",                  "*",
        "cluster.local/ns/a/s*",   "cluster.local/ns/a/sb*",    "c*"};
    return patterns_of(kTexts);
  }
  std::vector<model::StringPattern> namespaces() {
    static constexpr const char* kTexts[] = {"a", "ab", "b", "nobody", "a*", "*b", "*"};
    return patterns_of(kTexts);
  }
  template <size_t N>
  std::vector<model::StringPattern> patterns_of(const char* const (&texts)[N]) {
    std::vector<std::string> out;
    for (size_t i = 1 + below(2); i > 0; --i) out.push_back(pick(texts));
    return patterns(out);
  }
  std::vector<std::string> accounts() {
    std::vector<std::string> out;
    for (size_t i = 1 + below(2); i > 0; --i) out.push_back(pick(kNamespaces) + "/" + pick(kAccounts));
    return out;
  }
  std::vector<base::Cidr> some_ranges() {
    static constexpr const char* kTexts[] = {"10.0.0.0/8", "10.1.0.0/16",    "10.1.2.0/24", "10.1.2.3/32",
                                             "0.0.0.0/0",  "192.168.0.0/16", "fd00::/8",    "fd00::1/128",
                                             "::/0",       "10.1.9.0/24",    "fd00::9:0/112"};
    std::vector<std::string> out;
    for (size_t i = 1 + below(2); i > 0; --i) out.push_back(pick(kTexts));
    return ranges(out);
  }
  std::vector<uint16_t> some_ports() {
    std::vector<uint16_t> out;
    for (size_t i = 1 + below(2); i > 0; --i) out.push_back(one_in(10) ? uint16_t{0} : port());
    return out;
  }

  // Positive lists are common, negative ones less so, since they send everything to the proxy.
  model::PolicyMatch match() {
    model::PolicyMatch out;
    while (out == model::PolicyMatch{}) {
      if (one_in(4)) out.principals = principals();
      if (one_in(12)) out.not_principals = principals();
      if (one_in(4)) out.namespaces = namespaces();
      if (one_in(12)) out.not_namespaces = namespaces();
      if (one_in(4)) out.service_accounts = accounts();
      if (one_in(20)) out.not_service_accounts = accounts();
      if (one_in(4)) out.source_ranges = some_ranges();
      if (one_in(20)) out.not_source_ranges = some_ranges();
      if (one_in(10)) out.destination_ranges = some_ranges();
      if (one_in(20)) out.not_destination_ranges = some_ranges();
      if (one_in(4)) out.ports = some_ports();
      if (one_in(20)) out.not_ports = some_ports();
    }
    return out;
  }

  model::PolicyRule rule(uint32_t id) {
    model::PolicyRule out{.id = id, .source = "rule " + std::to_string(id), .deny = one_in(2), .dry_run = one_in(10)};
    for (size_t clauses = below(3); clauses > 0; --clauses) {
      model::PolicyClause clause;
      for (size_t matches = one_in(20) ? 0 : 1 + below(2); matches > 0; --matches) clause.push_back(match());
      out.clauses.push_back(std::move(clause));
    }
    return out;
  }

  std::mt19937_64 random_;
};

}  // namespace weft::test
