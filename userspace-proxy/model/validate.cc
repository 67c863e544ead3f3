// Is this Snapshot one that the data plane can use without asking again? Indexes in range, names present,
// text bounded.
#include <fmt/format.h>

#include <algorithm>

#include "userspace-proxy/model/codec.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/model/limits.h"

namespace weft::model {
namespace {

using base::Status;

Status broken(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, std::move(what));
}

Status check_text(std::string_view field, const std::string& text, size_t bound) {
  if (text.size() <= bound) return {};
  return broken(fmt::format("{}: {} bytes, at most {}", field, text.size(), bound));
}

Status check_name(std::string_view field, const std::string& text) {
  if (text.empty()) return broken(fmt::format("{}: empty", field));
  return check_text(field, text, kMaxName);
}

Status check_index(std::string_view field, uint32_t index, size_t size) {
  if (index == kNone || index < size) return {};
  return broken(fmt::format("{}: {} is out of range, there are {}", field, index, size));
}

Status check_labels(std::string_view field, const Labels& labels) {
  for (const auto& [key, value] : labels) {
    TRY(check_name(field, key));
    TRY(check_text(field, value, kMaxName));
  }
  return {};
}

template <typename List>
Status check_count(std::string_view field, const List& list, size_t bound = kMaxList) {
  if (list.size() <= bound) return {};
  return broken(fmt::format("{}: {} elements, at most {}", field, list.size(), bound));
}

// Runs `check` on each element; the error names the element.
template <typename List, typename Check>
Status check_each(std::string_view field, const List& list, Check check) {
  TRY(check_count(field, list));
  for (size_t i = 0; i < list.size(); ++i) {
    if (auto status = check(list[i]); !status)
      return broken(fmt::format("{}[{}].{}", field, i, status.error().what));
  }
  return {};
}

Status check_bounded_name(const std::string& text) {
  return check_name("name", text);
}

// Checks that need the whole Snapshot around them, for indexes.
class Validator {
 public:
  explicit Validator(const Snapshot& snapshot) : all_(snapshot) {}

  Status run() const {
    TRY(check_text("node", all_.node, kMaxName));
    TRY(check_name("settings.cluster_domain", all_.settings.cluster_domain));
    TRY(check_name("settings.trust_domain", all_.settings.trust_domain));
    TRY(check_index("self", all_.self, all_.workloads.size()));
    TRY(check_list("workloads", all_.workloads, kMaxWorkloads));
    TRY(check_list("services", all_.services, kMaxServices));
    TRY(check_list("clusters", all_.clusters, kMaxClusters));
    TRY(check_list("route_tables", all_.route_tables, kMaxRouteTables));
    TRY(check_list("gateway_listeners", all_.gateway_listeners, kMaxGatewayListeners));
    TRY(check_list("local_pods", all_.local_pods, kMaxLocalPods));
    return check_list("policy_rules", all_.policy_rules, kMaxPolicyRules);
  }

 private:
  template <typename Item>
  Status check_list(std::string_view field, const std::vector<Item>& list, size_t bound) const {
    TRY(check_count(field, list, bound));
    for (size_t i = 0; i < list.size(); ++i) {
      if (auto status = check(list[i]); !status)
        return broken(fmt::format("{}[{}].{}", field, i, status.error().what));
    }
    return {};
  }

  Status check(const Workload& workload) const {
    TRY(check_name("name", workload.name));
    TRY(check_name("ns", workload.ns));
    TRY(check_text("service_account", workload.service_account, kMaxName));
    TRY(check_text("node", workload.node, kMaxName));
    TRY(check_text("uid", workload.uid, kMaxName));
    TRY(check_text("owner", workload.owner, kMaxName));
    TRY(check_text("canonical_name", workload.canonical_name, kMaxName));
    TRY(check_text("canonical_revision", workload.canonical_revision, kMaxName));
    TRY(check_text("host_ip", workload.host_ip, kMaxName));
    TRY(check_count("addresses", workload.addresses));
    TRY(check_count("excluded_ports", workload.excluded_ports));
    if (!std::ranges::is_sorted(workload.excluded_ports)) return broken("excluded_ports: not in order");
    return check_labels("labels", workload.labels);
  }

  Status check(const Service& service) const {
    TRY(check_name("name", service.name));
    TRY(check_name("ns", service.ns));
    TRY(check_name("hostname", service.hostname));
    TRY(check_count("addresses", service.addresses));
    return check_each("ports", service.ports, [this](const ServicePort& port) -> Status {
      if (port.port == 0) return broken("port: 0");
      TRY(check_text("name", port.name, kMaxName));
      TRY(check_index("cluster", port.cluster, all_.clusters.size()));
      return check_index("route_table", port.route_table, all_.route_tables.size());
    });
  }

  Status check(const Cluster& cluster) const {
    TRY(check_name("name", cluster.name));
    TRY(check_text("subset", cluster.subset, kMaxName));
    TRY(check_index("service", cluster.service, all_.services.size()));
    return check_each("endpoints", cluster.endpoints, [this](const Endpoint& endpoint) -> Status {
      if (endpoint.address.port == 0) return broken("address: port 0");
      return check_index("workload", endpoint.workload, all_.workloads.size());
    });
  }

  Status check(const RouteTable& table) const {
    TRY(check_name("name", table.name));
    TRY(check_index("fallback_cluster", table.fallback_cluster, all_.clusters.size()));
    return check_each("hosts", table.hosts, [this](const VirtualHost& host) -> Status {
      TRY(check_text("name", host.name, kMaxText));
      TRY(check_each("domains", host.domains, check_bounded_name));
      return check_each("routes", host.routes, [this](const Route& route) { return check_route(route); });
    });
  }

  Status check_route(const Route& route) const {
    TRY(check_text("name", route.name, kMaxText));
    TRY(check_text("source", route.source, kMaxText));
    TRY(check_each("matches", route.matches, check_match));
    return check_each("clusters", route.clusters, [this](const WeightedCluster& share) -> Status {
      TRY(check_text("name", share.name, kMaxText));
      return check_index("cluster", share.cluster, all_.clusters.size());
    });
  }

  static Status check_match(const RouteMatch& match) {
    const auto string_match = [](const StringMatch& one) { return check_text("value", one.value, kMaxText); };
    const auto named_match = [](const NamedMatch& one) -> Status {
      TRY(check_name("name", one.name));
      return check_text("value", one.match.value, kMaxText);
    };
    TRY(check_text("name", match.name, kMaxText));
    for (const auto* list : {&match.uri, &match.method, &match.authority, &match.scheme}) {
      TRY(check_count("uri, method, authority, scheme", *list, 1));
      TRY(check_each("uri, method, authority, scheme", *list, string_match));
    }
    TRY(check_each("headers", match.headers, named_match));
    TRY(check_each("without_headers", match.without_headers, named_match));
    TRY(check_each("query", match.query, named_match));
    TRY(check_labels("source_labels", match.source_labels));
    return check_text("source_namespace", match.source_namespace, kMaxName);
  }

  Status check(const GatewayListener& listener) const {
    if (listener.bind_port == 0) return broken("bind_port: 0");
    return check_index("route_table", listener.route_table, all_.route_tables.size());
  }

  Status check(const LocalPod& pod) const {
    if (pod.workload >= all_.workloads.size())
      return broken(fmt::format("workload: {} is out of range", pod.workload));
    TRY(check_text("peer_mode_source", pod.peer_mode_source, kMaxText));
    uint16_t last = 0;  // ascending, so that nobody has to guess which of two entries counts
    TRY(check_each("port_modes", pod.port_modes, [&last](const PortMode& mode) -> Status {
      if (mode.port <= last) return broken(fmt::format("port: {} after {}", mode.port, last));
      last = mode.port;
      return check_text("source", mode.source, kMaxText);
    }));
    TRY(check_count("rules", pod.rules));
    for (const uint32_t rule : pod.rules)
      if (rule >= all_.policy_rules.size())
        return broken(
            fmt::format("rules: {} is out of range, there are {}", rule, all_.policy_rules.size()));
    return {};
  }

  static Status check(const PolicyRule& rule) {
    if (rule.id == 0) return broken("id: 0");
    TRY(check_text("source", rule.source, kMaxText));
    return check_each("clauses", rule.clauses,
                      [](const PolicyClause& clause) { return check_each("matches", clause, check_policy_match); });
  }

  static Status check_policy_match(const PolicyMatch& match) {
    // It would mean "never" to one reader and "always" to the next.
    if (match == PolicyMatch{}) return broken("match: says nothing");
    TRY(check_each("principals", match.principals, check_pattern));
    TRY(check_each("not_principals", match.not_principals, check_pattern));
    TRY(check_each("namespaces", match.namespaces, check_pattern));
    TRY(check_each("not_namespaces", match.not_namespaces, check_pattern));
    TRY(check_each("service_accounts", match.service_accounts, check_account));
    TRY(check_each("not_service_accounts", match.not_service_accounts, check_account));
    for (const auto* ranges : {&match.source_ranges, &match.not_source_ranges, &match.destination_ranges,
                               &match.not_destination_ranges}) {
      TRY(check_count("ranges", *ranges));
      for (const auto& range : *ranges)
        if (range.prefix_length > 128) return broken("ranges: a prefix over 128 bits");
    }
    TRY(check_count("ports", match.ports));
    return check_count("not_ports", match.not_ports);
  }

  static Status check_pattern(const StringPattern& pattern) {
    if ((pattern.kind == StringPattern::Kind::kPresent) != pattern.value.empty())
      return broken("value: only presence has an empty one");
    return check_text("value", pattern.value, kMaxIdentity);
  }

  static Status check_account(const std::string& account) {
    const size_t slash = account.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == account.size())
      return broken("name: not of the form namespace/account");
    return check_name("name", account);
  }

  const Snapshot& all_;
};

}  // namespace

base::Status validate(const Snapshot& snapshot) {
  if (auto status = Validator(snapshot).run(); !status) return broken("snapshot: " + status.error().what);
  return {};
}

}  // namespace weft::model
