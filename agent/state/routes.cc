// One http rule of a VirtualService -> routes of one listener. What configuration decides (port, gateway, the
// labels of a gateway's own pod) is decided here and does not reach the proxy.
#include <algorithm>
#include <optional>

#include "agent/state/endpoints.h"
#include "agent/state/virtual_services.h"

namespace weft::state {
namespace {

model::StringMatch convert(const objects::StringMatch& from) {
  using Form = objects::StringMatch::Form;
  using Kind = model::StringMatch::Kind;
  switch (from.form) {
    case Form::kExact:
      return {Kind::kExact, from.value};
    case Form::kPrefix:
      return {Kind::kPrefix, from.value};
    case Form::kRegex:
      return {Kind::kRegex, from.value};
    case Form::kPresent:
      break;
  }
  return {Kind::kPresent, ""};
}

std::vector<model::StringMatch> convert(const std::optional<objects::StringMatch>& from) {
  if (!from) return {};
  return {convert(*from)};
}

std::vector<model::NamedMatch> convert(const objects::NamedMatches& from) {
  std::vector<model::NamedMatch> out;
  for (const auto& [name, match] : from) out.push_back({name, convert(match)});
  return out;
}

// A path condition that every path fulfils is no condition.
bool takes_any_path(const std::optional<objects::StringMatch>& uri) {
  using Form = objects::StringMatch::Form;
  if (!uri) return true;
  switch (uri->form) {
    case Form::kPrefix:
      return uri->value.empty() || uri->value == "/";
    case Form::kRegex:
      return uri->value == ".*" || uri->value == "*";
    case Form::kPresent:
      return true;
    case Form::kExact:
      break;
  }
  return false;
}

model::RouteMatch convert(const objects::HttpMatch& from) {
  model::RouteMatch out;
  out.name = from.name;
  if (!takes_any_path(from.uri)) out.uri = convert(from.uri);
  out.ignore_uri_case = from.ignore_uri_case && !out.uri.empty();
  out.method = convert(from.method);
  out.authority = convert(from.authority);
  out.scheme = convert(from.scheme);
  out.headers = convert(from.headers);
  out.without_headers = convert(from.without_headers);
  out.query = convert(from.query_params);
  return out;
}

bool is_catch_all(const model::RouteMatch& match) {
  return match.uri.empty() && match.method.empty() && match.authority.empty() && match.scheme.empty() &&
         match.headers.empty() && match.without_headers.empty() && match.query.empty() &&
         match.source_labels.empty();
}

// Adds the conditions on the caller. False: no caller of this scope can fulfil them.
bool add_source(const objects::HttpMatch& from, const RouteScope& scope, const std::string& rule_ns,
                model::RouteMatch& out) {
  if (!from.gateways.empty()) {
    const bool named = std::ranges::any_of(
        from.gateways, [&](const std::string& g) { return complete_gateway(g, rule_ns) == scope.gateway; });
    out.source_namespace = scope.client_labels ? "" : scope.client_ns;
    return named;  // and the conditions on the source are not consulted
  }
  if (scope.client_labels) {
    return selects(from.source_labels, *scope.client_labels) &&
           (from.source_namespace.empty() || from.source_namespace == scope.client_ns);
  }
  // Callers of a namespace that some rule names have a scope of their own.
  if (!from.source_namespace.empty() && from.source_namespace != scope.client_ns) return false;
  out.source_labels = from.source_labels;
  out.source_namespace = scope.client_ns;
  return true;
}

std::optional<model::RouteMatch> match_in_scope(const objects::HttpMatch& from, const RouteScope& scope,
                                                const std::string& rule_ns) {
  if (from.unsupported) return std::nullopt;  // a condition that cannot be asked is never fulfilled
  if (from.port != 0 && from.port != scope.port) return std::nullopt;
  model::RouteMatch out = convert(from);
  if (!add_source(from, scope, rule_ns, out)) return std::nullopt;
  return out;
}

const char* word_of(objects::HttpRoute::Action action) {
  using Action = objects::HttpRoute::Action;
  switch (action) {
    case Action::kRedirect:
      return "redirect";
    case Action::kDirectResponse:
      return "directResponse";
    case Action::kDelegate:
      return "delegate";
    case Action::kRoute:
      break;
  }
  return "route";
}

// A rule whose action is not built answers 503 for what it matches: falling through to the next rule could
// send the request somewhere its author never meant.
std::vector<model::WeightedCluster> destinations(const objects::HttpRoute& rule, const std::string& place,
                                                 const BoundRules& rules, const RouteScope& scope,
                                                 const Services& services, RouteNotes& notes) {
  if (rule.action != objects::HttpRoute::Action::kRoute) {
    notes.invalid.insert(place + "." + word_of(rule.action) +
                         " is not supported yet; requests it matches get 503");
    return {{model::kNone, 1, std::string("unsupported|") + word_of(rule.action)}};
  }
  std::vector<model::WeightedCluster> out;
  for (const objects::HttpDestination& to : rule.route) {
    Resolved resolved =
        services.resolve(to.host, to.port, to.subset, rules.key.ns, scope.client_ns, scope.port);
    if (!resolved.missing.empty()) notes.missing.insert(place + ": " + resolved.missing);
    const uint32_t weight = rule.route.size() == 1 ? std::max(to.weight, 1u) : to.weight;
    if (weight > 0) out.push_back({resolved.cluster, weight, std::move(resolved.name)});
  }
  if (out.empty()) {
    notes.invalid.insert(place + " has no destination with a weight above 0; requests it matches get 503");
    out.push_back({model::kNone, 1, "no destination"});
  }
  return out;
}

model::RouteMatch everything_in(const RouteScope& scope) {
  model::RouteMatch out;
  if (!scope.client_labels) out.source_namespace = scope.client_ns;
  return out;
}

// In the mesh a caller's namespace is a condition; a catch-all holds for the whole scope only without a
// further one.
bool ends_scope(const model::RouteMatch& match, const RouteScope& scope) {
  return is_catch_all(match) && (scope.client_labels || match.source_namespace == scope.client_ns);
}

// The matches of one rule that this scope can meet: up to the first that takes everything, and that one
// apart.
struct RuleMatches {
  std::vector<model::RouteMatch> some;
  std::optional<model::RouteMatch> all;
};

RuleMatches matches_of(const objects::HttpRoute& rule, const RouteScope& scope, const std::string& rule_ns) {
  RuleMatches out;
  if (rule.match.empty()) out.all = everything_in(scope);
  for (const objects::HttpMatch& from : rule.match) {
    auto match = match_in_scope(from, scope, rule_ns);
    if (!match) continue;
    if (ends_scope(*match, scope)) {
      out.all = std::move(match);
      break;
    }
    out.some.push_back(std::move(*match));
  }
  return out;
}

}  // namespace

void add_routes(const BoundRules& rules, const RouteScope& scope, const Services& services,
                std::vector<OwnedRoute>& out, Notes& notes) {
  RouteNotes& mine = notes[rules.key];
  bool ended = false;
  for (size_t i = 0; i < rules.object->http.size(); ++i) {
    const objects::HttpRoute& rule = rules.object->http[i];
    const std::string place = "http[" + std::to_string(i) + "]";
    RuleMatches matches = matches_of(rule, scope, rules.key.ns);
    if (matches.some.empty() && !matches.all) continue;
    if (ended) {
      mine.shadowed.insert(place +
                           " is never reached: a rule before it in this VirtualService takes every request");
      continue;
    }
    model::Route route;
    route.name = rule.name;
    route.source = "VirtualService " + rules.key.ns + "/" + rules.key.name + " " + place;
    route.clusters = destinations(rule, place, rules, scope, services, mine);
    route.matches = std::move(matches.some);
    if (route.matches.size() > kMaxMatches) {
      mine.invalid.insert(place + " has more than " + std::to_string(kMaxMatches) +
                          " matches; the rest is left out");
      route.matches.resize(kMaxMatches);
    }
    if (!route.matches.empty()) out.push_back({route, rules.key, false});
    if (!matches.all) continue;
    // The part that takes everything is a route of its own, so that it can go behind other rules' routes.
    route.matches.clear();
    if (!matches.all->name.empty() || !matches.all->source_namespace.empty()) {
      route.matches.push_back(std::move(*matches.all));
    }
    out.push_back({std::move(route), rules.key, true});
    ended = true;
  }
}

}  // namespace weft::state
