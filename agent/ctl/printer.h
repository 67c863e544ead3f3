#pragma once
// Text for people and for scripts: tables, label selectors, jsonpath.
#include <string>
#include <vector>

#include "agent/sandbox/json.h"

namespace weft::ctl {

using sandbox::Json;

// Columns are as wide as their widest cell, three spaces apart, as kubectl prints them.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "a=b,c!=d,e,!f": every term must hold.
[[nodiscard]] bool matches_selector(const std::string& selector, const Json& labels);

// "k=v" sets, "k-" removes.
struct LabelChange {
  std::string key, value;
  bool remove = false;
};
[[nodiscard]] base::Result<LabelChange> parse_label_change(const std::string& text);

// The part of jsonpath that scripts use: {.a.b[0].c}, [*], [?(@.name=="http2")], text around braces. Results
// of one expression are separated by spaces.
[[nodiscard]] base::Result<std::string> jsonpath(const Json& root, const std::string& expression);

// "35s", "4m10s", "3h5m", "2d"; "<unknown>" for what is no time.
[[nodiscard]] std::string age_text(const std::string& creation, int64_t now_seconds);

}  // namespace weft::ctl
