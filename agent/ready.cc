#include "agent/ready.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "agent/parse/json.h"

namespace weft::agent {
namespace {

namespace fs = std::filesystem;
constexpr int kReady = 0, kNotReady = 1, kUnknown = 2;
constexpr size_t kMostBytes = 32u << 20;

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
  if (report->at({"ready"}).as_bool()) return kReady;
  for (const auto& what : report->at({"waitingFor"}).items()) std::printf("waiting for %s\n", what.as_string().c_str());
  return kNotReady;
}

}  // namespace

int run_is_ready(const fs::path& directory) {
  int worst = kUnknown;
  bool any = false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("Agent.") || !name.ends_with(".json")) continue;
    const int one = judge(entry.path());
    worst = any ? std::max(worst, one) : one;
    any = true;
  }
  if (!any) std::printf("no report in %s yet\n", directory.c_str());
  return worst;
}

}  // namespace weft::agent
