#include "agent/objects/read_http_route.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr size_t kMaxRegex = 1024;

// A bad expression must be found here and not by the proxy.
void check_regex(const Node& node, const std::string& path, Report& report) {
  if (node.as_string().size() > kMaxRegex)
    return report.invalid(path, node,
                          fmt::format("a regular expression may have at most {} characters", kMaxRegex));
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 expression(node.as_string(), options);
  if (!expression.ok())
    report.invalid(path, node, fmt::format("not an RE2 regular expression: {}", expression.error()));
}

// `may_be_present`: {} and regex "*" ask for presence (headers, query parameters).
StringMatch read_match(const Node& node, const std::string& path, bool may_be_present, Report& report) {
  const auto given =
      std::ranges::count_if(node.entries(), [](const Node::Entry& e) { return !e.value.is_null(); });
  if (given > 1 || (given == 0 && !may_be_present)) {
    report.invalid(path, node, "expected exactly one of exact, prefix and regex");
    return {};
  }
  if (has(node, "exact")) return {StringMatch::Form::kExact, text(node, "exact")};
  if (has(node, "prefix")) return {StringMatch::Form::kPrefix, text(node, "prefix")};
  if (!has(node, "regex")) return {};
  if (may_be_present && text(node, "regex") == "*") return {};
  check_regex(get(node, "regex"), path + ".regex", report);
  return {StringMatch::Form::kRegex, text(node, "regex")};
}

std::optional<StringMatch> read_one(const Node& match, std::string_view key, const std::string& path,
                                    Report& report) {
  const Node& node = get(match, key);
  if (node.is_null()) return std::nullopt;
  return read_match(node, fmt::format("{}.{}", path, key), false, report);
}

// Keys that Istio ignores among the headers, and claims, which weft cannot test yet.
bool is_special_header(const Node::Entry& entry, const std::string& path, HttpMatch& match, Report& report) {
  if (entry.key.starts_with("@request.auth.")) {
    match.unsupported = true;
    report.unsupported_value(path, entry.value, "weft cannot match JWT claims yet, the match never holds");
    return true;
  }
  constexpr std::string_view kPseudo[] = {"uri", "scheme", "method", "authority"};
  if (std::ranges::find(kPseudo, entry.key) == std::end(kPseudo)) return false;
  report.warn(
      "NoEffect", path, entry.mark,
      fmt::format("the key \"{}\" has no effect here; use the field {} of the match", entry.key, entry.key));
  return true;
}

NamedMatches read_headers(const Node& node, std::string_view key, const std::string& match_path,
                          HttpMatch& match, Report& report) {
  NamedMatches out;
  for (const Node::Entry& entry : get(node, key).entries()) {
    const std::string path = fmt::format("{}.{}[{}]", match_path, key, entry.key);
    if (is_special_header(entry, path, match, report)) continue;
    if (!is_http_token(entry.key))
      report.error("InvalidValue", path, entry.mark, fmt::format("\"{}\" is no header name", entry.key));
    out.emplace_back(lower_case(entry.key), read_match(entry.value, path, true, report));
  }
  return out;
}

NamedMatches read_query(const Node& node, const std::string& match_path, Report& report) {
  NamedMatches out;
  for (const Node::Entry& entry : get(node, "queryParams").entries()) {
    const std::string path = fmt::format("{}.queryParams[{}]", match_path, entry.key);
    if (entry.key.empty())
      report.error("InvalidValue", path, entry.mark, "expected the name of a query parameter");
    out.emplace_back(entry.key, read_match(entry.value, path, true, report));
  }
  return out;
}

HttpMatch read_http_match(const Node& node, const std::string& path, Report& report) {
  HttpMatch match;
  match.name = text(node, "name");
  match.uri = read_one(node, "uri", path, report);
  match.method = read_one(node, "method", path, report);
  match.authority = read_one(node, "authority", path, report);
  match.scheme = read_one(node, "scheme", path, report);
  match.ignore_uri_case = flag(node, "ignoreUriCase");
  match.headers = read_headers(node, "headers", path, match, report);
  match.without_headers = read_headers(node, "withoutHeaders", path, match, report);
  match.query_params = read_query(node, path, report);
  match.port = static_cast<uint32_t>(number(node, "port"));
  match.gateways = texts(node, "gateways");
  match.source_labels = read_labels(node, "sourceLabels", path + ".sourceLabels", report);
  match.source_namespace = text(node, "sourceNamespace");
  match.mark = node.mark();
  return match;
}

HttpDestination read_destination(const Node& node, const std::string& path, Report& report) {
  HttpDestination out;
  const Node& destination = get(node, "destination");
  const Node& host = get(destination, "host");
  out.host = host.as_string();
  out.subset = text(destination, "subset");
  out.port = static_cast<uint16_t>(number(get(destination, "port"), "number"));
  out.weight = static_cast<uint32_t>(std::max<int64_t>(0, number(node, "weight")));
  out.mark = node.mark();
  if (!is_host_name(out.host))
    report.invalid(path + ".destination.host", host,
                   fmt::format("expected the name of a service, found {}", describe(host)));
  if (number(node, "weight") < 0)
    report.invalid(path + ".weight", get(node, "weight"), "a weight cannot be negative");
  return out;
}

void read_route(const Node& node, const std::string& path, HttpRoute& route, Report& report) {
  const Node& list = get(node, "route");
  uint64_t total = 0;
  for (size_t i = 0; i < list.items().size(); ++i) {
    route.route.push_back(read_destination(list.items()[i], item_path(path + ".route", i), report));
    total += route.route.back().weight;
  }
  if (route.route.size() > 1 && total == 0)
    report.invalid(path + ".route", list, "the weights of the destinations must not sum to 0");
  if (total > UINT32_MAX)
    report.invalid(path + ".route", list, "the weights of the destinations sum to too much");
}

// Exactly one thing may happen to a request, and some additions exclude each other.
void check_action(const Node& node, const std::string& path, HttpRoute& route, Report& report) {
  const bool has_route = !get(node, "route").items().empty();
  const int given = has_route + has(node, "redirect") + has(node, "directResponse") + has(node, "delegate");
  if (given != 1)
    report.invalid(path, node, "expected exactly one of route, redirect, directResponse and delegate");
  if (has(node, "redirect")) route.action = HttpRoute::Action::kRedirect;
  if (has(node, "directResponse")) route.action = HttpRoute::Action::kDirectResponse;
  if (has(node, "delegate")) route.action = HttpRoute::Action::kDelegate;
  const bool local = has(node, "redirect") || has(node, "directResponse");
  for (std::string_view addition : {"fault", "rewrite"})
    if (local && has(node, addition))
      report.invalid(fmt::format("{}.{}", path, addition), get(node, addition),
                     fmt::format("{} cannot stand beside redirect or directResponse", addition));
  if (has(node, "mirror") && has(node, "mirrors"))
    report.invalid(path + ".mirrors", get(node, "mirrors"), "mirrors cannot stand beside mirror");
}

}  // namespace

HttpRoute read_http_route(const Node& node, const std::string& path, Report& report) {
  HttpRoute route;
  route.name = text(node, "name");
  const Node& matches = get(node, "match");
  for (size_t i = 0; i < matches.items().size(); ++i)
    route.match.push_back(read_http_match(matches.items()[i], item_path(path + ".match", i), report));
  check_action(node, path, route, report);
  read_route(node, path, route, report);
  route.mark = node.mark();
  return route;
}

}  // namespace weft::objects
