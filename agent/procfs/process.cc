#include "agent/procfs/process.h"

#include "agent/procfs/files.h"

namespace weft::procfs {
namespace {

constexpr size_t kMaxStat = 4096;

// "<pid> (<name>) <state> ...": the name may hold anything, brackets too.
char state_in(const std::string& stat) {
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.size() > name_end + 2 ? stat[name_end + 2] : 'X';
}

}  // namespace

std::optional<ProcessKey> find_process(pid_t pid, const std::string& proc) {
  const auto stat = read_file(proc + "/" + std::to_string(pid) + "/stat", kMaxStat);
  if (!stat || state_in(*stat) == 'Z' || state_in(*stat) == 'X') return std::nullopt;
  const auto started = start_time_in(*stat);
  if (!started) return std::nullopt;
  return ProcessKey{pid, *started};
}

}  // namespace weft::procfs
