#pragma once
// `weftctl check`: is this cluster, this node, this installation right? Each question has an id that stays.
#include <string>
#include <string_view>
#include <vector>

#include "agent/install/cluster.h"
#include "agent/install/settings.h"
#include "userspace-proxy/base/clock.h"

namespace weft::install {

enum class Verdict : uint8_t { kOk, kWarning, kError, kSkipped };
[[nodiscard]] std::string_view name_of(Verdict verdict);  // "ok"

struct Check {
  std::string id;       // "api-rights"
  std::string section;  // "Kubernetes API"
  std::string text;     // what holds, or should
  Verdict verdict = Verdict::kOk;
  std::string reason;  // why it does not hold
  std::string hint;    // what to do next
  int64_t milliseconds = 0;
};

// May weft be installed here? Asks the API server; changes nothing.
[[nodiscard]] std::vector<Check> check_before(Cluster& cluster, const Settings& settings, const base::Clock& clock);
// Is what is installed whole and at work?
[[nodiscard]] std::vector<Check> check_installed(Cluster& cluster, const Settings& settings, const base::Clock& clock);
// What the kernel of this machine offers: to be run on a node. `root`: where its files are, "" on a machine itself.
[[nodiscard]] std::vector<Check> check_machine(const std::string& root, std::string_view kernel_release);

// "5.15.0-91-generic" is at least 5.15? Numbers that cannot be read count as too old.
[[nodiscard]] bool kernel_is_at_least(std::string_view release, int major, int minor);

// 0 all is well; 1 an error; 2 only warnings, and `strict`. What was skipped is no success under `strict`.
[[nodiscard]] int exit_code_of(const std::vector<Check>& checks, bool strict);
// Lines for people, or JSON (schema weft.check/v1).
[[nodiscard]] std::string checks_text(const std::vector<Check>& checks);
[[nodiscard]] std::string checks_json(const std::vector<Check>& checks);

}  // namespace weft::install
