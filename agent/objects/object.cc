#include "agent/objects/object.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <tuple>

#include "agent/objects/pod.h"

namespace weft::objects {
namespace {

// Reads `count` digits off the front of `text`.
std::optional<int> take_digits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || !any_of.contains(text.front())) return false;
  text.remove_prefix(1);
  return true;
}

// "Z", "+01:00" or "-07:30"; nothing else may follow.
std::optional<std::chrono::minutes> take_offset(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  if (text.size() != 6) return std::nullopt;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take_char(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  const bool colon = take_char(text, ":");
  const auto minutes = take_digits(text, 2);
  if (!hours || !colon || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return std::chrono::minutes(sign * (*hours * 60 + *minutes));
}

}  // namespace

std::optional<Time> parse_time(std::string_view text) {
  const auto year = take_digits(text, 4);
  const bool dash1 = take_char(text, "-");
  const auto month = take_digits(text, 2);
  const bool dash2 = take_char(text, "-");
  const auto day = take_digits(text, 2);
  const bool middle = take_char(text, "Tt");
  const auto hour = take_digits(text, 2);
  const bool colon1 = take_char(text, ":");
  const auto minute = take_digits(text, 2);
  const bool colon2 = take_char(text, ":");
  const auto second = take_digits(text, 2);
  if (!year || !dash1 || !month || !dash2 || !day || !middle || !hour || !colon1 || !minute || !colon2 ||
      !second)
    return std::nullopt;
  if (take_char(text, ".")) {
    if (!take_digits(text, 1)) return std::nullopt;
    while (take_digits(text, 1)) {
    }
  }
  const auto offset = take_offset(text);
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!offset || !date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) - *offset;
}

std::string to_string(Time time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(time - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

ObjectKey key_of(const Object& object) {
  return {object.kind, object.meta.ns, object.meta.name};
}

bool older(const Object& a, const Object& b) {
  return std::tie(a.meta.creation, a.meta.name, a.meta.ns) <
         std::tie(b.meta.creation, b.meta.name, b.meta.ns);
}

bool Pod::ready() const {
  for (const Condition& condition : status.conditions)
    if (condition.type == "Ready") return condition.status == "True";
  return false;
}

}  // namespace weft::objects
