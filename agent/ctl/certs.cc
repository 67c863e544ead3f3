#include "agent/ctl/certs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "agent/ctl/printer.h"
#include "agent/objects/object.h"
#include "agent/sandbox/files.h"

namespace weft::ctl {
namespace {

using sandbox::at;
using sandbox::int_at;
using sandbox::list_at;
using sandbox::text_at;

constexpr size_t kMostErrorText = 60;  // in a table
constexpr int64_t kOverdue = 300;      // seconds after which a renewal that has not begun will not

base::Status check_output(const std::string& output, bool wide) {
  if (output.empty() || output == "json" || (wide && output == "wide")) return {};
  return base::fail(base::ErrorKind::kInvalid,
                    fmt::format("-o {}: use {}json", output, wide ? "wide or " : ""));
}

// "23h" from now, "expired 2h ago".
std::string in_text(const std::string& when, int64_t now) {
  const auto time = objects::parse_time(when);
  if (!time) return "-";
  const int64_t left = time->time_since_epoch().count() - now;
  if (left > 0) return age_text(objects::to_string(objects::Time(std::chrono::seconds(now - left))), now);
  return "expired " + age_text(when, now) + " ago";
}

std::string short_text(const std::string& text) {
  return text.size() <= kMostErrorText ? text : text.substr(0, kMostErrorText - 3) + "...";
}

// Agents that have no certificates by their nature: control signs, it does not serve connections.
bool has_none(const AgentReport& report) {
  return text_at(report.content, "role") == "control";
}

std::string unknown(const AgentReport& report) {
  if (!report.problem.empty()) return report.problem;
  if (!sandbox::has(report.content, "certificates"))
    return "it has no certificates: it was started without --ca-address";
  if (list_at(report.content, "proxies").empty()) return "no proxy is connected to it";
  return "";
}

struct Ending {
  std::string agent, what, state, not_after, reason;
};

Json to_json(const Ending& ending) {
  return {{"agent", ending.agent},
          {"what", ending.what},
          {"state", ending.state},
          {"notAfter", ending.not_after},
          {"reason", ending.reason}};
}

// Ends before `limit`; a time that is none counts as ended.
bool ends_by(const std::string& when, int64_t limit) {
  const auto time = objects::parse_time(when);
  return !time || time->time_since_epoch().count() <= limit;
}

// In good order: what ends is replaced before. An agent that is dead shows by a renewal that is overdue.
bool is_renewed(const Json& one, int64_t now) {
  return text_at(one, "lastError").empty() && !ends_by(text_at(one, "renewAt"), now - kOverdue) &&
         !ends_by(text_at(one, "notAfter"), now);
}

void add_identities(const AgentReport& report, const ExpireOptions& options, int64_t now,
                    std::vector<Ending>* endings, std::string* problems) {
  for (const Json& one : list_at(report.content, "certificates.identities")) {
    const std::string state = text_at(one, "state"), what = text_at(one, "identity");
    if (state == "pending") {
      *problems += fmt::format("agent {}: {} has no certificate yet\n", report.name, what);
      continue;
    }
    const bool renewed = !options.all && is_renewed(one, now);
    if (state != "valid" || (!renewed && ends_by(text_at(one, "notAfter"), now + options.span_seconds)))
      endings->push_back({report.name, what, state, text_at(one, "notAfter"), text_at(one, "lastError")});
  }
}

void add_roots(const AgentReport& report, int64_t limit, std::vector<Ending>* endings,
               std::string* problems) {
  const Json& bundle = at(report.content, "certificates.trustBundle");
  if (!sandbox::has(bundle, "firstExpiry")) {
    *problems += fmt::format("agent {}: no trust bundle{}\n", report.name,
                             text_at(bundle, "problem").empty() ? "" : ": " + text_at(bundle, "problem"));
    return;
  }
  const std::string first = text_at(bundle, "firstExpiry");
  if (ends_by(first, limit))
    endings->push_back({report.name, "trust bundle " + text_at(bundle, "fingerprint"), "root", first,
                        text_at(bundle, "problem")});
}

std::string table_of(const std::vector<Ending>& endings, int64_t now) {
  Table table({"AGENT", "WHAT", "STATE", "EXPIRES", "REASON"});
  for (const Ending& one : endings)
    table.add({one.agent, one.what, one.state, in_text(one.not_after, now), short_text(one.reason)});
  return table.empty() ? "" : table.text();
}

void add_rows(Table& table, const AgentReport& report, bool wide, int64_t now) {
  for (const Json& one : list_at(report.content, "certificates.identities")) {
    std::vector<std::string> row = {report.name, text_at(one, "identity"), text_at(one, "state"),
                                    in_text(text_at(one, "notAfter"), now),
                                    in_text(text_at(one, "renewAt"), now)};
    if (wide) {
      row.push_back(text_at(one, "notAfter", "-"));
      row.push_back(sandbox::has(one, "keyId") ? std::to_string(int_at(one, "keyId")) : "-");
      row.push_back(std::to_string(int_at(one, "proxy")));
      row.push_back(std::to_string(int_at(one, "requests")));
      row.push_back(text_at(report.content, "certificates.trustBundle.fingerprint", "-"));
    }
    const std::string error = text_at(one, "lastError", "-");
    row.push_back(wide ? error : short_text(error));
    table.add(std::move(row));
  }
}

Json all_as_json(const std::vector<AgentReport>& reports) {
  Json agents = Json::array();
  for (const auto& report : reports) {
    Json agent{{"name", report.name}};
    if (!report.problem.empty()) agent["problem"] = report.problem;
    if (!report.content.is_null()) agent["role"] = text_at(report.content, "role");
    if (sandbox::has(report.content, "certificates"))
      agent["certificates"] = at(report.content, "certificates");
    agents.push_back(std::move(agent));
  }
  return {{"schema", "weft.certificates/v1"}, {"agents", std::move(agents)}};
}

}  // namespace

base::Result<std::vector<AgentReport>> read_reports(const std::string& status_dir) {
  std::error_code error;
  if (!std::filesystem::is_directory(status_dir, error))
    return base::fail(base::ErrorKind::kNotFound,
                      status_dir + ": no such directory of statuses; say --sandbox NAME or --status-dir DIR");
  std::vector<AgentReport> reports;
  constexpr std::string_view kBegin = "Agent.", kEnd = ".json";
  for (const std::string& file : sandbox::list_directory(status_dir)) {
    if (!file.starts_with(kBegin) || !file.ends_with(kEnd) || file.size() <= kBegin.size() + kEnd.size())
      continue;
    AgentReport report{.name = file.substr(kBegin.size(), file.size() - kBegin.size() - kEnd.size())};
    auto text = sandbox::read_file(status_dir + "/" + file);
    auto json = text ? sandbox::parse_json(*text) : base::Result<Json>(std::unexpected(text.error()));
    if (json)
      report.content = std::move(*json);
    else
      report.problem = "its report cannot be read: " + base::describe(json.error());
    reports.push_back(std::move(report));
  }
  std::ranges::sort(reports, {}, &AgentReport::name);
  return reports;
}

base::Result<int64_t> parse_span(const std::string& text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const int64_t seconds = unit == "s"   ? 1
                          : unit == "m" ? 60
                          : unit == "h" ? 3600
                          : unit == "d" ? 86'400
                          : unit == "w" ? 7 * 86'400
                                        : 0;
  if (error != std::errc() || seconds == 0 || number < 0 || number > 100'000)
    return base::fail(base::ErrorKind::kInvalid,
                      "\"" + text + "\" is no span of time: say 90s, 45m, 12h, 30d or 2w");
  return number * seconds;
}

base::Result<std::string> cert_list(const std::vector<AgentReport>& reports, const std::string& output,
                                    int64_t now_seconds) {
  TRY(check_output(output, true));
  if (output == "json") return all_as_json(reports).dump(2) + "\n";
  const bool wide = output == "wide";
  std::vector<std::string> header = {"AGENT", "IDENTITY", "STATE", "EXPIRES", "RENEWS"};
  if (wide) header.insert(header.end(), {"NOT-AFTER", "KEY", "PROXY", "REQUESTS", "BUNDLE"});
  header.push_back("ERROR");
  Table table(std::move(header));
  std::string problems;
  for (const AgentReport& report : reports) {
    add_rows(table, report, wide, now_seconds);
    const std::string why = has_none(report) ? "" : unknown(report);
    if (!why.empty()) problems += fmt::format("agent {}: {}\n", report.name, why);
    const std::string bundle = text_at(report.content, "certificates.trustBundle.problem");
    if (!bundle.empty())
      problems += fmt::format("agent {}: the newest trust bundle was refused: {}\n", report.name, bundle);
  }
  // A list that leaves something out says so.
  return (table.empty() ? "" : table.text()) + problems;
}

base::Result<Expiry> cert_expire(const std::vector<AgentReport>& reports, const ExpireOptions& options,
                                 int64_t now_seconds) {
  TRY(check_output(options.output, false));
  Expiry out;
  std::vector<Ending> endings;
  size_t known = 0;
  for (const AgentReport& report : reports) {
    if (has_none(report)) continue;
    const std::string why = unknown(report);
    if (!why.empty()) out.problems += fmt::format("agent {}: {}\n", report.name, why);
    if (!sandbox::has(report.content, "certificates")) continue;
    ++known;
    add_identities(report, options, now_seconds, &endings, &out.problems);
    add_roots(report, now_seconds + options.span_seconds, &endings, &out.problems);
  }
  if (known == 0) out.problems += "no agent has said anything about certificates\n";
  out.exit_code = !endings.empty() ? 1 : !out.problems.empty() ? 2 : 0;
  if (options.output != "json") {
    out.text = table_of(endings, now_seconds);
    return out;
  }
  Json list = Json::array();
  for (const Ending& one : endings) list.push_back(to_json(one));
  out.text = Json{{"schema", "weft.expiring/v1"}, {"expiring", std::move(list)}}.dump(2) + "\n";
  return out;
}

}  // namespace weft::ctl
