#pragma once
// `weftctl cert`: what the agents say about certificates, read from their reports.
#include <functional>
#include <string>
#include <vector>

#include "agent/sandbox/json.h"
#include "userspace-proxy/base/result.h"

namespace CLI {
class App;
}

namespace weft::ctl {

using sandbox::Json;

// One agent's report, or why it could not be read.
struct AgentReport {
  std::string name;
  Json content;         // null: unreadable
  std::string problem;  // of the file
};
// Every "Agent.<name>.json" of a status directory, by name. kNotFound: no such directory.
[[nodiscard]] base::Result<std::vector<AgentReport>> read_reports(const std::string& status_dir);

// "90s", "45m", "12h", "30d", "2w" in seconds.
[[nodiscard]] base::Result<int64_t> parse_span(const std::string& text);

// `output`: empty, "wide" or "json". Pure.
[[nodiscard]] base::Result<std::string> cert_list(const std::vector<AgentReport>& reports,
                                                  const std::string& output, int64_t now_seconds);

struct Expiry {
  int exit_code = 0;     // 0: nothing expires in that time; 1: something does; 2: it cannot be known
  std::string text;      // what expires
  std::string problems;  // what could not be known, a line each
};
struct ExpireOptions {
  int64_t span_seconds = 0;
  bool all = false;    // also certificates that are going to be renewed before they end
  std::string output;  // empty or "json"
};
// Roots that end within the span, and certificates of workloads that do and that nobody is renewing: the
// newest attempt failed, the renewal is overdue, or there is none. Pure.
[[nodiscard]] base::Result<Expiry> cert_expire(const std::vector<AgentReport>& reports,
                                               const ExpireOptions& options, int64_t now_seconds);

// What the command line says. Owner: run_weftctl. Lifetime: the process.
struct CertWords {
  std::string sandbox = "default", status_dir, output, within = "30d";
  bool all = false;
  int exit_code = 0;   // when the action is done
  int error_code = 1;  // when it fails
};
void add_cert_commands(CLI::App& app, CertWords& words, std::function<base::Status()>& action);

}  // namespace weft::ctl
