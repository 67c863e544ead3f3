// The command line of `weftctl cert`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <iostream>

#include "agent/ctl/certs.h"
#include "agent/sandbox/layout.h"

namespace weft::ctl {
namespace {

base::Result<std::vector<AgentReport>> reports_of(const CertWords& words) {
  if (!words.status_dir.empty()) return read_reports(words.status_dir);
  TRY_ASSIGN(const auto layout, sandbox::load_layout(words.sandbox));
  return read_reports(layout.status());
}

base::Status run_list(const CertWords& words) {
  TRY_ASSIGN(const auto reports, reports_of(words));
  TRY_ASSIGN(const auto text, cert_list(reports, words.output, std::time(nullptr)));
  fmt::print("{}", text);
  if (text.empty()) std::cerr << "No certificates: no agent has reported yet.\n";
  return {};
}

base::Status run_expire(CertWords& words) {
  words.error_code = 2;
  TRY_ASSIGN(const auto span, parse_span(words.within));
  TRY_ASSIGN(const auto reports, reports_of(words));
  TRY_ASSIGN(const auto found, cert_expire(reports, {span, words.all, words.output}, std::time(nullptr)));
  fmt::print("{}", found.text);
  std::fflush(stdout);
  std::cerr << found.problems;
  words.exit_code = found.exit_code;
  return {};
}

void add_source(CLI::App& command, CertWords& words) {
  command.add_option("--sandbox", words.sandbox, "whose agents")->capture_default_str();
  command.add_option("--status-dir", words.status_dir, "a node's own: where its agent writes statuses");
}

}  // namespace

void add_cert_commands(CLI::App& app, CertWords& words, std::function<base::Status()>& action) {
  auto* cert = app.add_subcommand("cert", "certificates of workloads: state, expiry, trust bundle");
  cert->require_subcommand(1);
  auto* list =
      cert->add_subcommand("list", "every identity at every agent: state, expiry, next renewal, last error");
  add_source(*list, words);
  list->add_option("-o,--output", words.output, "wide or json");
  list->callback([&] { action = [&] { return run_list(words); }; });
  auto* expire = cert->add_subcommand(
      "expire", "roots that end soon, certificates that end soon and are not being renewed");
  add_source(*expire, words);
  expire->add_option("--in", words.within, "how soon: 90s, 45m, 12h, 30d, 2w")->capture_default_str();
  expire->add_flag("--all", words.all, "certificates that will be renewed before they end as well");
  expire->add_option("-o,--output", words.output, "json");
  expire->footer(
      "Exit codes: 0 nothing ends in that time; 1 something does, or is missing: it is listed;\n"
      "2 it cannot be known: no report, an agent without certificates, an identity still without one.");
  expire->callback([&] { action = [&] { return run_expire(words); }; });
}

}  // namespace weft::ctl
