#include "tests/support/counters.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bpf/abi/weft_abi.h"
#include "tests/support/command.h"

namespace weft::test {

Counters kernel_counters(const std::string& pin_directory) {
  Counters sum;
  const Answer answer = run({"bpftool", "-j", "map", "dump", "pinned", pin_directory + "/counters"});
  const auto document = nlohmann::json::parse(answer.out, nullptr, false);
  if (!document.is_array() || document.empty()) {
    ADD_FAILURE() << "no counters at " << pin_directory << ": " << answer.out << answer.err;
    return sum;
  }
  const auto& formatted = document[0].contains("formatted") ? document[0]["formatted"] : document[0];
  for (const auto& cpu : formatted["values"])
    for (const auto& [name, value] : cpu["value"].items()) sum[name] += value.get<uint64_t>();
  return sum;
}

Counters node_counters(const std::string& sandbox, const std::string& node) {
  return kernel_counters("/sys/fs/bpf/weft/" + sandbox + "-" + node + "/v" + std::to_string(WEFT_ABI));
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
