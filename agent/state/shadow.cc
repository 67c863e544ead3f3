#include "agent/state/shadow.h"

#include <algorithm>
#include <optional>

namespace weft::state {
namespace {

// The comparison is quadratic; lists beyond this are not looked at.
constexpr size_t kMaxCompared = 200;

using Matches = std::vector<model::StringMatch>;

bool covers(const model::StringMatch& wide, const model::StringMatch& narrow) {
  using Kind = model::StringMatch::Kind;
  if (wide == narrow || wide.kind == Kind::kPresent) return true;
  if (wide.kind != Kind::kPrefix) return false;
  return (narrow.kind == Kind::kPrefix || narrow.kind == Kind::kExact) &&
         narrow.value.starts_with(wide.value);
}

bool covers(const Matches& wide, const Matches& narrow) {
  if (wide.empty()) return true;
  return !narrow.empty() && covers(wide.front(), narrow.front());
}

bool covers(const std::vector<model::NamedMatch>& wide, const std::vector<model::NamedMatch>& narrow) {
  return std::ranges::all_of(wide, [&](const model::NamedMatch& w) {
    return std::ranges::any_of(
        narrow, [&](const model::NamedMatch& n) { return n.name == w.name && covers(w.match, n.match); });
  });
}

// A negated condition is only compared for being the same one.
bool same_exclusions(const std::vector<model::NamedMatch>& wide,
                     const std::vector<model::NamedMatch>& narrow) {
  return std::ranges::all_of(
      wide, [&](const model::NamedMatch& w) { return std::ranges::find(narrow, w) != narrow.end(); });
}

}  // namespace

bool covers(const model::RouteMatch& wide, const model::RouteMatch& narrow) {
  // "/FOO" without case is wider than "/foo" with it, but not the other way round.
  if (!wide.uri.empty() && narrow.ignore_uri_case && !wide.ignore_uri_case) return false;
  const bool same_source =
      (wide.source_namespace.empty() || wide.source_namespace == narrow.source_namespace) &&
      std::ranges::all_of(wide.source_labels, [&](const auto& label) {
        const auto found = narrow.source_labels.find(label.first);
        return found != narrow.source_labels.end() && found->second == label.second;
      });
  return same_source && covers(wide.uri, narrow.uri) && covers(wide.method, narrow.method) &&
         covers(wide.authority, narrow.authority) && covers(wide.scheme, narrow.scheme) &&
         covers(wide.headers, narrow.headers) && covers(wide.query, narrow.query) &&
         same_exclusions(wide.without_headers, narrow.without_headers);
}

namespace {

bool route_covers(const model::Route& wide, const model::Route& narrow) {
  const auto by_one = [&](const model::RouteMatch& n) {
    return std::ranges::any_of(wide.matches, [&](const model::RouteMatch& w) { return state::covers(w, n); });
  };
  if (wide.matches.empty()) return true;
  if (narrow.matches.empty()) return by_one({});
  return std::ranges::all_of(narrow.matches, by_one);
}

}  // namespace

void note_shadowed(const std::vector<OwnedRoute>& routes, const std::string& where, Notes& notes) {
  if (routes.size() > kMaxCompared) return;
  for (size_t late = 1; late < routes.size(); ++late) {
    const auto early =
        std::ranges::find_if(routes.begin(), routes.begin() + static_cast<ptrdiff_t>(late),
                             [&](const OwnedRoute& r) { return route_covers(r.route, routes[late].route); });
    if (early == routes.begin() + static_cast<ptrdiff_t>(late)) continue;
    const std::string& source = routes[late].route.source;
    notes[routes[late].owner].shadowed.insert(source.substr(source.rfind(' ') + 1) + " is never reached on " +
                                              where + ": " + early->route.source +
                                              " comes first and takes every request it matches");
  }
}

}  // namespace weft::state
