#include "agent/objects/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace weft::objects {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_alnum(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
constexpr char lower(char c) {
  return is_upper(c) ? static_cast<char>(c | 0x20) : c;
}

struct Unit {
  std::string_view name;
  double nanoseconds;
};
// Longer names first, so that "ms" is not taken for "m".
constexpr Unit kUnits[] = {{"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
                           {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};

// Calls `good` for each part between dots; false if one is not.
template <typename Check>
bool all_labels(std::string_view text, Check good) {
  while (true) {
    const size_t dot = text.find('.');
    if (!good(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_any_case_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_label_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
  return std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != '_' && c != '-') out += lower(c);
  return out;
}

// Damerau-Levenshtein (optimal string alignment) over the folded words; gives up at `stop_at`.
size_t edit_distance(std::string_view a_text, std::string_view b_text, size_t stop_at) {
  const std::string a = folded(a_text);
  const std::string b = folded(b_text);
  const size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap >= stop_at) return stop_at;
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return std::min(above[b.size()], stop_at);
}

}  // namespace

std::optional<base::Nanos> parse_duration(std::string_view text) {
  if (text == "0") return base::Nanos(0);
  if (text.empty() || text.size() > 64) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    if (!is_digit(text.front()) && text.front() != '.') return std::nullopt;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const auto* unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return text.starts_with(u.name); });
    if (unit == std::end(kUnits)) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += number * unit->nanoseconds;
  }
  if (total > 9.2e18) return std::nullopt;
  return base::Nanos(static_cast<int64_t>(std::llround(total)));
}

bool is_quantity(std::string_view text) {
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  size_t at = 0;
  size_t digits = 0;
  bool dot = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !dot)); ++at) {
    dot |= text[at] == '.';
    digits += text[at] != '.';
  }
  std::string_view suffix = text.substr(at);
  if (digits == 0) return false;
  constexpr std::string_view kSuffixes[] = {"",  "n", "u",  "m",  "k",  "M",  "G",  "T",
                                            "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  if (std::ranges::find(kSuffixes, suffix) != std::end(kSuffixes)) return true;
  if (suffix.front() != 'e' && suffix.front() != 'E') return false;
  suffix.remove_prefix(1);
  if (!suffix.empty() && (suffix.front() == '+' || suffix.front() == '-')) suffix.remove_prefix(1);
  return !suffix.empty() && std::ranges::all_of(suffix, is_digit);
}

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

bool is_dns_subdomain(std::string_view text) {
  // Parts of object names are not held to 63 characters by Kubernetes, only the whole is bounded.
  const auto part = [](std::string_view label) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    return std::ranges::all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
  };
  return !text.empty() && text.size() <= 253 && all_labels(text, part);
}

bool is_service_name(std::string_view text) {
  return is_dns_label(text) && is_lower(text.front());
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool is_port_name(std::string_view text) {
  return is_dns_label(text) && text.size() <= 15 && std::ranges::any_of(text, is_lower) &&
         !text.contains("--");
}

bool is_label_key(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_label_name(text);
  return is_dns_subdomain(text.substr(0, slash)) && is_label_name(text.substr(slash + 1));
}

bool is_label_value(std::string_view text) {
  return text.empty() || is_label_name(text);
}

bool is_host_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  return !text.empty() && text.size() <= 253 && all_labels(text, is_any_case_label);
}

bool is_wildcard_host(std::string_view text) {
  if (text == "*") return true;
  return is_host_name(text.starts_with("*.") ? text.substr(2) : text);
}

bool is_http_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() &&
         std::ranges::all_of(text, [&](char c) { return is_alnum(c) || kMarks.contains(c); });
}

std::string in_quotes(std::string_view word) {
  constexpr size_t kMax = 64;
  std::string out = "\"";
  for (const char c : word.substr(0, kMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (word.size() > kMax ? "...\"" : "\"");
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

bool host_covers(std::string_view pattern, std::string_view host) {
  if (pattern == "*" || pattern == host) return true;
  if (!pattern.starts_with("*.")) return false;
  // "*.foo.com" covers a.foo.com and b.a.foo.com, not foo.com.
  return host.size() > pattern.size() - 1 && host.ends_with(pattern.substr(1));
}

std::vector<std::string_view> split_words(std::string_view words) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t bar = words.find('|');
    out.push_back(words.substr(0, bar));
    if (bar == std::string_view::npos) return out;
    words.remove_prefix(bar + 1);
  }
}

std::string_view closest(std::string_view word, const std::vector<std::string_view>& words) {
  std::string_view best;
  if (word.size() > 64) return best;
  size_t best_distance = word.size() <= 4 ? 2 : word.size() / 3 + 1;  // must be below this
  for (std::string_view candidate : words) {
    const size_t distance = edit_distance(word, candidate, best_distance);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace weft::objects
