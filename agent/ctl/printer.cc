#include "agent/ctl/printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "agent/objects/object.h"

namespace weft::ctl {
namespace {

using sandbox::scalar_text;

bool term_holds(const std::string& term, const Json& labels) {
  const auto value_of = [&](const std::string& key) {
    return labels.is_object() && labels.contains(key) ? scalar_text(labels[key]) : std::string();
  };
  const auto has_label = [&](const std::string& key) { return labels.is_object() && labels.contains(key); };
  if (const size_t at = term.find("!="); at != std::string::npos)
    return value_of(term.substr(0, at)) != term.substr(at + 2);
  if (const size_t at = term.find('='); at != std::string::npos) {
    const size_t value = term.find_first_not_of('=', at);
    return has_label(term.substr(0, at)) &&
           value_of(term.substr(0, at)) == (value == std::string::npos ? "" : term.substr(value));
  }
  return term.starts_with('!') ? !has_label(term.substr(1)) : has_label(term);
}

// One step of a path: a key, an index, [*] or a filter.
std::vector<const Json*> apply_step(const std::vector<const Json*>& from, const std::string& step) {
  std::vector<const Json*> out;
  for (const Json* value : from) {
    if (step == "*") {
      for (const Json& item : *value) out.push_back(&item);
      continue;
    }
    if (step.starts_with("?(@.") && step.ends_with("\")")) {
      const size_t equals = step.find("==\"");
      if (equals == std::string::npos) continue;
      const std::string key = step.substr(4, equals - 4);
      const std::string wanted = step.substr(equals + 3, step.size() - equals - 5);
      for (const Json& item : *value)
        if (scalar_text(sandbox::at(item, key)) == wanted) out.push_back(&item);
      continue;
    }
    size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (value->is_array() && error == std::errc() && end == step.data() + step.size()) {
      if (index < value->size()) out.push_back(&(*value)[index]);
      continue;
    }
    if (value->is_object() && value->contains(step)) out.push_back(&(*value)[step]);
  }
  return out;
}

// ".items[0].metadata.labels.app\.kubernetes\.io/name" -> steps
base::Result<std::vector<std::string>> split_steps(const std::string& path) {
  std::vector<std::string> steps;
  for (size_t i = 0; i < path.size();) {
    if (path[i] == '[') {
      const size_t close = path.find(']', i);
      if (close == std::string::npos)
        return base::fail(base::ErrorKind::kInvalid, "jsonpath: \"[\" without \"]\"");
      steps.push_back(path.substr(i + 1, close - i - 1));
      i = close + 1;
      continue;
    }
    if (path[i] == '.') ++i;
    std::string key;
    for (; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
      if (path[i] == '\\' && i + 1 < path.size()) ++i;
      key += path[i];
    }
    if (!key.empty()) steps.push_back(key);
  }
  return steps;
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}", row[i], widths[i] + 3);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

bool matches_selector(const std::string& selector, const Json& labels) {
  std::istringstream terms(selector);
  for (std::string term; std::getline(terms, term, ',');)
    if (!term.empty() && !term_holds(term, labels)) return false;
  return true;
}

base::Result<LabelChange> parse_label_change(const std::string& text) {
  const size_t equals = text.find('=');
  LabelChange change;
  change.key = text.substr(0, equals);
  if (equals == std::string::npos) {
    if (!text.ends_with('-'))
      return base::fail(base::ErrorKind::kInvalid,
                        "label \"" + text + "\": use key=value, or key- to remove it");
    change.key.pop_back();
    change.remove = true;
  } else {
    change.value = text.substr(equals + 1);
  }
  static constexpr std::string_view kKey =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  static constexpr std::string_view kValue = kKey.substr(0, kKey.size() - 1);
  if (change.key.empty() || change.key.find_first_not_of(kKey) != std::string::npos)
    return base::fail(base::ErrorKind::kInvalid, "label \"" + text + "\": the key is no label name");
  if (change.value.size() > 63 || change.value.find_first_not_of(kValue) != std::string::npos)
    return base::fail(
        base::ErrorKind::kInvalid,
        "label \"" + text + "\": a value has at most 63 letters, digits, dashes, dots, underscores");
  return change;
}

base::Result<std::string> jsonpath(const Json& root, const std::string& expression) {
  std::string out;
  for (size_t i = 0; i < expression.size();) {
    if (expression[i] != '{') {
      out += expression[i++];
      continue;
    }
    const size_t close = expression.find('}', i);
    if (close == std::string::npos)
      return base::fail(base::ErrorKind::kInvalid, "jsonpath: \"{\" without \"}\"");
    TRY_ASSIGN(const auto steps, split_steps(expression.substr(i + 1, close - i - 1)));
    std::vector<const Json*> values{&root};
    for (const std::string& step : steps) values = apply_step(values, step);
    for (size_t k = 0; k < values.size(); ++k) out += (k == 0 ? "" : " ") + scalar_text(*values[k]);
    i = close + 1;
  }
  return out;
}

std::string age_text(const std::string& creation, int64_t now_seconds) {
  const auto time = objects::parse_time(creation);
  if (!time) return "<unknown>";
  const int64_t seconds = std::max<int64_t>(0, now_seconds - time->time_since_epoch().count());
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  if (seconds < 3 * 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

}  // namespace weft::ctl
