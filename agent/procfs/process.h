#pragma once
// One process for good: its number alone may be another's by now.
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace weft::procfs {

struct ProcessKey {
  pid_t pid = 0;         // as the reader's own pid namespace counts
  uint64_t started = 0;  // clock ticks since boot (proc_pid_stat(5), field 22)
  bool operator==(const ProcessKey&) const = default;
};

// The one that has this number now. None: there is none, or it has ended and nobody has waited for it yet.
[[nodiscard]] std::optional<ProcessKey> find_process(pid_t pid, const std::string& proc = "/proc");

}  // namespace weft::procfs
