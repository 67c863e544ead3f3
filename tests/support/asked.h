#pragma once
// What a Snapshot's route table would answer to a request: enough of the proxy's routing to read
// configuration by its effect. Regular expressions are not asked.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::test {

struct Request {
  std::string host, path = "/";
  std::string method = "GET";
  model::Labels headers;
  std::string source_ns;
  model::Labels source_labels;
};

namespace asked {

inline bool fits(const model::StringMatch& match, const std::string* value) {
  using Kind = model::StringMatch::Kind;
  if (!value) return false;
  if (match.kind == Kind::kPresent) return true;
  return match.kind == Kind::kExact ? *value == match.value : value->starts_with(match.value);
}

inline bool fits(const std::vector<model::StringMatch>& match, const std::string& value) {
  return match.empty() || fits(match.front(), &value);
}

inline bool fits(const model::RouteMatch& match, const Request& request) {
  for (const auto& [key, value] : match.source_labels) {
    const auto found = request.source_labels.find(key);
    if (found == request.source_labels.end() || found->second != value) return false;
  }
  for (const model::NamedMatch& header : match.headers) {
    const auto found = request.headers.find(header.name);
    if (!fits(header.match, found == request.headers.end() ? nullptr : &found->second)) return false;
  }
  const bool source = match.source_namespace.empty() || match.source_namespace == request.source_ns;
  return source && fits(match.uri, request.path) && fits(match.method, request.method) &&
         fits(match.authority, request.host);
}

inline const model::VirtualHost* host_of(const model::RouteTable& table, const std::string& host) {
  const model::VirtualHost* best = nullptr;
  size_t length = 0;
  for (const model::VirtualHost& candidate : table.hosts) {
    for (const std::string& domain : candidate.domains) {
      if (domain == host) return &candidate;
      if (!domain.starts_with('*') || domain.size() <= length) continue;
      const std::string_view suffix = std::string_view(domain).substr(1);
      if (!std::string_view(host).ends_with(suffix)) continue;
      best = &candidate;
      length = domain.size();
    }
  }
  return best;
}

inline std::string answer(const model::Snapshot& snapshot, const model::WeightedCluster& share) {
  if (share.cluster == model::kNone) return "NC " + share.name;
  const model::Cluster& cluster = snapshot.clusters[share.cluster];
  return (cluster.endpoints.empty() ? "UH " : "") + cluster.name;
}

}  // namespace asked

// "404", or the shares in order: "50 outbound|80||a.b + 50 NC outbound|80|v2|a.b"; a single one without its
// weight.
inline std::string ask(const model::Snapshot& snapshot, const model::RouteTable& table,
                       const Request& request) {
  const model::VirtualHost* host = asked::host_of(table, request.host);
  if (!host) {
    if (table.fallback_cluster == model::kNone) return "404";
    return "fallback " + snapshot.clusters[table.fallback_cluster].name;
  }
  for (const model::Route& route : host->routes) {
    const bool fits = route.matches.empty() || std::ranges::any_of(route.matches, [&](const auto& m) {
                        return asked::fits(m, request);
                      });
    if (!fits) continue;
    if (route.clusters.empty()) return "404";
    if (route.clusters.size() == 1) return asked::answer(snapshot, route.clusters.front());
    std::string out;
    for (const model::WeightedCluster& share : route.clusters) {
      out += (out.empty() ? "" : " + ") + std::to_string(share.weight) + " " + asked::answer(snapshot, share);
    }
    return out;
  }
  return "404";
}

}  // namespace weft::test
