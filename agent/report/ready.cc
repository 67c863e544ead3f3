#include "agent/report/ready.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "agent/parse/json.h"
#include "agent/procfs/process.h"

namespace weft::agent {
namespace {

namespace fs = std::filesystem;
constexpr int kReady = 0, kNotReady = 1, kUnknown = 2;
constexpr size_t kMostBytes = 32u << 20;

bool writer_lives(const objects::Node& report) {
  const procfs::ProcessKey writer{static_cast<pid_t>(report.at({"process", "pid"}).as_int()),
                                  static_cast<uint64_t>(report.at({"process", "startTicks"}).as_int())};
  return writer.pid > 0 && procfs::find_process(writer.pid) == writer;
}

int judge(const fs::path& file) {
  std::error_code error;
  if (const auto size = fs::file_size(file, error); error || size > kMostBytes) {
    std::printf("%s cannot be read\n", file.c_str());
    return kUnknown;
  }
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto report = parse::read_json(text, {.bytes = kMostBytes});
  if (!report) {
    std::printf("%s: %s\n", file.c_str(), base::describe(report.error()).c_str());
    return kUnknown;
  }
  if (!writer_lives(*report)) {
    std::printf("waiting for the agent: %s is of a process that has ended\n", file.c_str());
    return kNotReady;
  }
  if (report->at({"ready"}).as_bool()) return kReady;
  for (const auto& what : report->at({"waitingFor"}).items()) std::printf("waiting for %s\n", what.as_string().c_str());
  return kNotReady;
}

}  // namespace

int run_is_ready(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return judge(path);
  int worst = kUnknown;
  bool any = false;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("Agent.") || !name.ends_with(".json")) continue;
    const int one = judge(entry.path());
    worst = any ? std::max(worst, one) : one;
    any = true;
  }
  if (!any) std::printf("no report in %s yet\n", path.c_str());
  return worst;
}

}  // namespace weft::agent
