#include "tests/support/counters.h"

#include <nlohmann/json.hpp>

#include "tests/support/command.h"

namespace weft::test {

Counters kernel_counters(const std::string& pin_directory) {
  Counters sum;
  const Answer answer = run({"bpftool", "-j", "map", "dump", "pinned", pin_directory + "/counters"});
  const auto document = nlohmann::json::parse(answer.out, nullptr, false);
  if (!document.is_array() || document.empty()) return sum;
  const auto& formatted = document[0].contains("formatted") ? document[0]["formatted"] : document[0];
  for (const auto& cpu : formatted["values"])
    for (const auto& [name, value] : cpu["value"].items()) sum[name] += value.get<uint64_t>();
  return sum;
}

Counters growth(const Counters& before, const Counters& after) {
  Counters grown;
  for (const auto& [name, value] : after) {
    const auto was = before.find(name);
    const uint64_t old = was == before.end() ? 0 : was->second;
    if (value > old) grown[name] = value - old;
  }
  return grown;
}

std::string to_text(const Counters& counters) {
  std::string text;
  for (const auto& [name, value] : counters) text += name + "=" + std::to_string(value) + " ";
  return text;
}

}  // namespace weft::test
