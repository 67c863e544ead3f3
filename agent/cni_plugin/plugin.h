#pragma once
// One call of weft-cni, without the outside world: environment and configuration in, answer out.
#include <functional>
#include <string>
#include <string_view>

#include "agent/cni_plugin/config.h"

namespace weft::cni {

struct Outcome {
  int exit_code = 0;
  std::string out;   // for the runtime, on stdout
  std::string note;  // for people, on stderr; empty: nothing
};

// Asks the agent behind a socket; bounded in time.
using Ask = std::function<base::Result<Answer>(const std::string& socket, const Request& request)>;

[[nodiscard]] Outcome run_plugin(const Environment& environment, std::string_view config, const Ask& ask);

// The specification's error object.
[[nodiscard]] Outcome fail_with(std::string_view version, Code code, std::string_view message);

}  // namespace weft::cni
