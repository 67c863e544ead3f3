#pragma once
// One RouteMatch, made ready to run: regular expressions compiled, prefixes folded. Immutable.
#include <re2/re2.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "userspace-proxy/route/route.h"

namespace weft::route {

// Memory one expression may use while it runs; beyond it RE2 falls back to a slower way, never to a wrong
// answer.
inline constexpr int64_t kRegexMemory = 1 << 20;

class ValueMatch {
 public:
  // Appends a sentence to `problems` when the expression is broken; the match then matches nothing.
  ValueMatch(const model::StringMatch& match, bool ignore_case, std::vector<std::string>& problems);
  // `value` of a present thing.
  [[nodiscard]] bool matches(std::string_view value) const;
  [[nodiscard]] bool presence_only() const { return kind_ == model::StringMatch::Kind::kPresent; }

 private:
  model::StringMatch::Kind kind_;
  std::string value_;
  bool ignore_case_;
  std::unique_ptr<const RE2> regex_;
};

class Match {
 public:
  Match(const model::RouteMatch& match, std::vector<std::string>& problems);
  [[nodiscard]] bool matches(const RequestView& request, const Caller& caller) const;

 private:
  struct Named {
    std::string name;
    ValueMatch value;
  };
  [[nodiscard]] bool headers_match(const RequestView& request) const;
  [[nodiscard]] bool query_matches(std::string_view query) const;
  [[nodiscard]] bool caller_matches(const Caller& caller) const;

  std::optional<ValueMatch> uri_, method_, authority_, scheme_;
  std::vector<Named> headers_, without_headers_, query_;
  model::Labels source_labels_;
  std::string source_namespace_;
};

}  // namespace weft::route
