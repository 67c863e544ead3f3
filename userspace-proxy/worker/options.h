#pragma once
#include <optional>
#include <span>
#include <string>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/worker/drain.h"

namespace weft::worker {

enum class Seccomp : uint8_t { kKill, kLog, kOff };

// The command line of weft-proxy.
struct Options {
  std::string agent_socket = "/run/weft/agent.sock";
  uint32_t workers = 0;  // 0: one per core
  base::SocketAddress metrics_address, ready_address, admin_address;
  std::string access_log = "-";  // "-": standard output
  std::string user = "nobody";
  Drain drain;
  std::string log_level = "info";
  Seccomp seccomp = Seccomp::kKill;
  size_t max_connections = 0;  // per worker; 0: as many as descriptors allow
  bool supervise = false;      // a process beside this one starts it again when a signal ends it
  bool help = false;
};

[[nodiscard]] base::Result<Options> parse_options(std::span<char* const> arguments);
[[nodiscard]] std::string usage();

}  // namespace weft::worker
