#include "userspace-proxy/route/table.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace weft::route {
namespace {

// DNS allows 253; a longer name cannot be anybody's.
constexpr size_t kMaxHost = 255;

CompiledRoute compile(const model::Route& route, std::vector<std::string>& problems) {
  CompiledRoute out;
  out.source = &route;
  for (const auto& match : route.matches) {
    const size_t before = problems.size();
    out.matches.emplace_back(match, problems);
    for (size_t i = before; i < problems.size(); ++i) problems[i] = route.source + ": " + problems[i];
    out.names.push_back(match.name.empty()   ? route.name
                        : route.name.empty() ? match.name
                                             : route.name + "." + match.name);
  }
  if (out.names.empty()) out.names.push_back(route.name);
  for (const auto& cluster : route.clusters) out.total_weight += cluster.weight;
  return out;
}

// The index of the match that takes the request; SIZE_MAX for none. A route without matches takes all, as its
// 0th.
size_t matching(const CompiledRoute& route, const RequestView& request, const Caller& caller) {
  if (route.matches.empty()) return 0;
  for (size_t i = 0; i < route.matches.size(); ++i)
    if (route.matches[i].matches(request, caller)) return i;
  return SIZE_MAX;
}

const model::WeightedCluster* pick(const CompiledRoute& route, uint32_t draw) {
  const auto& clusters = route.source->clusters;
  if (clusters.size() == 1) return &clusters.front();
  if (route.total_weight == 0) return nullptr;
  uint64_t point = (static_cast<uint64_t>(draw) * route.total_weight) >> 32;
  for (const auto& cluster : clusters) {
    if (point < cluster.weight) return &cluster;
    point -= cluster.weight;
  }
  return nullptr;
}

}  // namespace

Table::Table(const model::RouteTable& table, const model::Snapshot& snapshot,
             std::vector<std::string>& problems)
    : fallback_(table.fallback_cluster) {
  if (fallback_ != model::kNone) fallback_name_ = snapshot.clusters[fallback_].name;
  for (const auto& host : table.hosts) {
    CompiledHost& out = hosts_.emplace_back();
    for (const auto& route : host.routes) out.routes.push_back(compile(route, problems));
    for (const auto& domain : host.domains) add_domain(domain, hosts_.size() - 1);
  }
  // Longest first; of two equal ones the host that was named first counts.
  std::ranges::sort(suffixes_, [](const Suffix& a, const Suffix& b) {
    return a.text.size() != b.text.size() ? a.text.size() > b.text.size() : a.host < b.host;
  });
}

void Table::add_domain(const std::string& domain, size_t host) {
  if (domain == "*") {
    if (any_ == SIZE_MAX) any_ = host;
    return;
  }
  if (domain.starts_with("*.")) {
    suffixes_.push_back({domain.substr(1), host});
    return;
  }
  exact_.try_emplace(std::string(host_of(domain)), host);
}

const CompiledHost* Table::find(std::string_view authority) const {
  const auto host = host_of(authority);
  if (host.size() <= kMaxHost && (!exact_.empty() || !suffixes_.empty())) {
    std::array<char, kMaxHost> block;
    std::ranges::transform(host, block.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::string_view lower(block.data(), host.size());
    if (const auto found = exact_.find(lower); found != exact_.end()) return &hosts_[found->second];
    // "*.foo.com" covers a.foo.com and b.a.foo.com, not foo.com: something must stand before the dot.
    for (const auto& suffix : suffixes_)
      if (lower.size() > suffix.text.size() && lower.ends_with(suffix.text)) return &hosts_[suffix.host];
  }
  return any_ == SIZE_MAX ? nullptr : &hosts_[any_];
}

std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  auto host = authority.substr(0, authority.find(':'));
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  return host;
}

Tables::~Tables() = default;

std::shared_ptr<const Tables> Tables::build(model::SnapshotPtr snapshot) {
  std::shared_ptr<Tables> out(new Tables());
  out->snapshot_ = std::move(snapshot);
  for (const auto& table : out->snapshot_->route_tables)
    out->tables_.push_back(std::make_unique<const Table>(table, *out->snapshot_, out->problems_));
  return out;
}

Decision decide(const Table& table, const RequestView& request, const Caller& caller, uint32_t draw) {
  Decision decision;
  const CompiledHost* host = table.find(request.authority);
  if (host == nullptr) {
    if (table.fallback() == model::kNone) return decision;
    decision.outcome = Outcome::kCluster;
    decision.cluster = table.fallback();
    decision.cluster_name = table.fallback_name();
    return decision;
  }
  decision.host_known = true;
  for (const auto& route : host->routes) {
    const size_t match = matching(route, request, caller);
    if (match == SIZE_MAX) continue;
    decision.route = route.names[match];
    if (route.source->clusters.empty()) return decision;  // says itself that nothing is here: 404
    decision.outcome = Outcome::kNoCluster;
    const auto* chosen = pick(route, draw);
    if (chosen == nullptr) return decision;
    decision.cluster_name = chosen->name;
    if (chosen->cluster == model::kNone) return decision;
    decision.outcome = Outcome::kCluster;
    decision.cluster = chosen->cluster;
    return decision;
  }
  return decision;
}

}  // namespace weft::route
