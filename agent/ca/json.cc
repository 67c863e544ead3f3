#include "agent/ca/json.h"

#include <set>
#include <vector>

namespace weft::ca {

base::Result<Json> parse_object(std::string_view text) {
  std::vector<std::set<std::string>> seen;  // keys of the objects that are open
  bool bad = false;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    bad |= depth > kMaxJsonDepth;
    if (event == Json::parse_event_t::object_start) seen.emplace_back();
    if (event == Json::parse_event_t::object_end && !seen.empty()) seen.pop_back();
    if (event == Json::parse_event_t::key && !seen.empty())
      bad |= !seen.back().insert(value.get_ref<const std::string&>()).second;
    return !bad;
  };
  Json out = Json::parse(text, check, /*allow_exceptions=*/false);
  if (bad) return base::fail(base::ErrorKind::kInvalid, "JSON with a key twice, or nested too deep");
  if (out.is_discarded()) return base::fail(base::ErrorKind::kInvalid, "not JSON");
  if (!out.is_object()) return base::fail(base::ErrorKind::kInvalid, "JSON, but no object");
  return out;
}

const Json& member(const Json& object, std::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(key));
  return found == object.end() ? kNull : *found;
}

std::string string_at(const Json& object, std::string_view key) {
  const Json& value = member(object, key);
  return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

}  // namespace weft::ca
