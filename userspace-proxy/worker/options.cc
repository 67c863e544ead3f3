#include "userspace-proxy/worker/options.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <string_view>
#include <vector>

namespace weft::worker {
namespace {

using Setter = std::function<base::Status(Options&, std::string_view)>;

struct Flag {
  std::string_view name, value, help;
  Setter set;
};

Setter text(std::string Options::* field) {
  return [field](Options& options, std::string_view value) -> base::Status {
    options.*field = value;
    return {};
  };
}

Setter address(base::SocketAddress Options::* field) {
  return [field](Options& options, std::string_view value) -> base::Status {
    TRY_ASSIGN(options.*field, base::SocketAddress::parse(value));
    return {};
  };
}

base::Result<uint32_t> number(std::string_view value, uint32_t most) {
  uint32_t parsed = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (error != std::errc() || end != value.data() + value.size() || parsed > most)
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("'{}' is not a number from 0 to {}", value, most));
  return parsed;
}

base::Status set_seccomp(Options& options, std::string_view value) {
  if (value != "kill" && value != "log" && value != "off")
    return base::fail(base::ErrorKind::kInvalid, fmt::format("'{}' is none of kill, log, off", value));
  options.seccomp = value == "kill" ? Seccomp::kKill : value == "log" ? Seccomp::kLog : Seccomp::kOff;
  return {};
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> kFlags = {
      {"--agent-socket", "PATH", "the agent's socket (/run/weft/agent.sock)", text(&Options::agent_socket)},
      {"--workers", "N", "worker threads (one per core)",
       [](Options& options, std::string_view value) -> base::Status {
         TRY_ASSIGN(options.workers, number(value, 1024));
         return {};
       }},
      {"--metrics-address", "ADDR", "metrics (0.0.0.0:15020)", address(&Options::metrics_address)},
      {"--ready-address", "ADDR", "readiness (0.0.0.0:15021)", address(&Options::ready_address)},
      {"--admin-address", "ADDR", "admin (127.0.0.1:15000)", address(&Options::admin_address)},
      {"--access-log", "FILE", "where access-log lines go once they are switched on (-, standard output)",
       text(&Options::access_log)},
      {"--user", "NAME", "user to become when started as root (nobody)", text(&Options::user)},
      {"--drain", "SECONDS", "how long connections may go on after SIGTERM (30)",
       [](Options& options, std::string_view value) -> base::Status {
         TRY_ASSIGN(const uint32_t seconds, number(value, 86'400));
         options.drain.limit = base::Millis(seconds * 1000LL);
         return {};
       }},
      {"--drain-accept", "SECONDS", "how long of that new connections are still taken, by a proxy without successor (0)",
       [](Options& options, std::string_view value) -> base::Status {
         TRY_ASSIGN(const uint32_t seconds, number(value, 86'400));
         options.drain.accept = base::Millis(seconds * 1000LL);
         return {};
       }},
      {"--log-level", "LEVEL", "trace, debug, info, warn, error or off (info)", text(&Options::log_level)},
      {"--seccomp", "MODE", "what a forbidden system call does: kill, log, or off for no filter (kill)",
       set_seccomp},
      {"--max-connections", "N", "per worker (as many as descriptors allow)",
       [](Options& options, std::string_view value) -> base::Status {
         TRY_ASSIGN(options.max_connections, number(value, 10'000'000));
         return {};
       }},
  };
  return kFlags;
}

base::Status apply(Options& options, std::string_view name, std::string_view value) {
  for (const auto& flag : flags()) {
    if (flag.name != name) continue;
    auto set = flag.set(options, value);
    if (!set) set.error().what = fmt::format("{}: {}", name, set.error().what);
    return set;
  }
  return base::fail(base::ErrorKind::kInvalid, fmt::format("unknown flag {}", name));
}

}  // namespace

base::Result<Options> parse_options(std::span<char* const> arguments) {
  Options options;
  options.metrics_address = *base::SocketAddress::parse("0.0.0.0:15020");
  options.ready_address = *base::SocketAddress::parse("0.0.0.0:15021");
  options.admin_address = *base::SocketAddress::parse("127.0.0.1:15000");
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") options.help = true;
    if (options.help) return options;
    if (argument == "--supervise") {
      options.supervise = true;
      continue;
    }
    if (const size_t equals = argument.find('='); equals != std::string_view::npos) {
      TRY(apply(options, argument.substr(0, equals), argument.substr(equals + 1)));
      continue;
    }
    if (i + 1 == arguments.size())
      return base::fail(base::ErrorKind::kInvalid, fmt::format("{} wants a value", argument));
    TRY(apply(options, argument, arguments[++i]));
  }
  return options;
}

std::string usage() {
  std::string text = "weft-proxy: carries the connections that the kernel hands it, fed by weft-agent\n\n";
  for (const auto& flag : flags())
    text += fmt::format("  {:<27} {}\n", fmt::format("{} {}", flag.name, flag.value), flag.help);
  text += fmt::format("  {:<27} {}\n", "--supervise", "a process beside this one starts it again when a signal ends it");
  return text;
}

}  // namespace weft::worker
