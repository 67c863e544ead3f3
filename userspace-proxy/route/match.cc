#include "userspace-proxy/route/match.h"

#include <strings.h>

#include <algorithm>

namespace weft::route {
namespace {

using Kind = model::StringMatch::Kind;

bool equal_fold(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// The value of a header; values of a repeated one are joined with commas in `joined`.
std::optional<std::string_view> header_value(const RequestView& request, std::string_view name,
                                             std::string& joined) {
  std::optional<std::string_view> found;
  for (const auto& header : request.headers) {
    if (!equal_fold(header.name, name)) continue;
    if (!found) {
      found = header.value;
      continue;
    }
    if (joined.empty()) joined = *found;
    joined.append(",").append(header.value);
  }
  if (!joined.empty()) return joined;
  return found;
}

// The first occurrence of `key`; only that one counts (istio-api 3.4). Keys and values are compared as sent.
std::optional<std::string_view> query_value(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != key) continue;
    return equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
  }
  return std::nullopt;
}

std::optional<ValueMatch> single(const std::vector<model::StringMatch>& list, bool ignore_case,
                                 std::vector<std::string>& problems) {
  if (list.empty()) return std::nullopt;
  return ValueMatch(list.front(), ignore_case, problems);
}

}  // namespace

ValueMatch::ValueMatch(const model::StringMatch& match, bool ignore_case, std::vector<std::string>& problems)
    : kind_(match.kind), value_(match.value), ignore_case_(ignore_case) {
  if (kind_ != Kind::kRegex) return;
  if (value_ == "*") {  // Istio takes it for "present"
    kind_ = Kind::kPresent;
    return;
  }
  RE2::Options options;
  options.set_max_mem(kRegexMemory);
  options.set_log_errors(false);
  options.set_never_capture(true);
  auto regex = std::make_unique<RE2>(value_, options);
  if (regex->ok())
    regex_ = std::move(regex);
  else
    problems.push_back("regular expression \"" + value_ + "\": " + regex->error());
}

bool ValueMatch::matches(std::string_view value) const {
  switch (kind_) {
    case Kind::kPresent:
      return true;
    case Kind::kExact:
      return ignore_case_ ? equal_fold(value, value_) : value == value_;
    case Kind::kPrefix:
      return ignore_case_ ? equal_fold(value.substr(0, value_.size()), value_) : value.starts_with(value_);
    case Kind::kRegex:
      return regex_ != nullptr && RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex_);
  }
  return false;
}

Match::Match(const model::RouteMatch& match, std::vector<std::string>& problems)
    : uri_(single(match.uri, match.ignore_uri_case, problems)),
      method_(single(match.method, false, problems)),
      authority_(single(match.authority, false, problems)),
      scheme_(single(match.scheme, false, problems)),
      source_labels_(match.source_labels),
      source_namespace_(match.source_namespace) {
  const auto fill = [&](std::vector<Named>& out, const std::vector<model::NamedMatch>& in) {
    for (const auto& named : in) out.push_back({named.name, ValueMatch(named.match, false, problems)});
  };
  fill(headers_, match.headers);
  fill(without_headers_, match.without_headers);
  fill(query_, match.query);
}

bool Match::matches(const RequestView& request, const Caller& caller) const {
  if (uri_ && !uri_->matches(request.path)) return false;
  if (method_ && !method_->matches(request.method)) return false;
  if (authority_ && !authority_->matches(request.authority)) return false;
  if (scheme_ && !scheme_->matches(request.scheme)) return false;
  return headers_match(request) && query_matches(request.query) && caller_matches(caller);
}

bool Match::headers_match(const RequestView& request) const {
  for (const auto& wanted : headers_) {
    std::string joined;
    const auto value = header_value(request, wanted.name, joined);
    if (!value || !wanted.value.matches(*value)) return false;
  }
  for (const auto& unwanted : without_headers_) {
    std::string joined;
    const auto value = header_value(request, unwanted.name, joined);
    // A missing header counts as empty, save for a test of presence.
    if (!value && unwanted.value.presence_only()) continue;
    if (unwanted.value.matches(value.value_or(""))) return false;
  }
  return true;
}

bool Match::query_matches(std::string_view query) const {
  return std::ranges::all_of(query_, [&](const Named& wanted) {
    const auto value = query_value(query, wanted.name);
    return value && wanted.value.matches(*value);
  });
}

bool Match::caller_matches(const Caller& caller) const {
  if (!source_namespace_.empty() && caller.ns != source_namespace_) return false;
  if (source_labels_.empty()) return true;
  if (caller.labels == nullptr) return false;
  return std::ranges::all_of(source_labels_, [&](const auto& label) {
    const auto found = caller.labels->find(label.first);
    return found != caller.labels->end() && found->second == label.second;
  });
}

}  // namespace weft::route
