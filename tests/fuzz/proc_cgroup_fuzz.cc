// Any text of /proc/<pid>/cgroup, stat and net/unix: names in it are the pods' and may be anything; a uid is
// one.
#include <cstdint>
#include <string>

#include "agent/procfs/cgroup_path.h"
#include "agent/procfs/files.h"
#include "userspace-proxy/base/result.h"

using namespace weft::procfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& pod : {pod_of_file(text), pod_of_path(text)}) {
    if (!pod) continue;
    CHECK(pod->uid.size() == 36 || pod->uid.size() == 32);
    CHECK(pod->uid.find_first_not_of("0123456789abcdef-") == std::string::npos);
    CHECK(pod->container.size() <= 128 && pod->container.find('/') == std::string::npos);
  }
  (void)start_time_in(text);
  CHECK(inodes_in(text).size() <= size);
  return 0;
}
