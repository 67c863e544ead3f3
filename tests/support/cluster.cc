#include "tests/support/cluster.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

namespace weft::test {
namespace {

// What the agents of the nodes say about themselves.
std::vector<nlohmann::json> agent_reports(const std::string& sandbox) {
  std::vector<nlohmann::json> reports;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/run/weft/sandbox/" + sandbox + "/status", error)) {
    if (!entry.path().filename().string().starts_with("Agent.node")) continue;
    std::ifstream in(entry.path());
    auto report = nlohmann::json::parse(in, nullptr, false);
    if (report.is_object()) reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace

std::string program(const std::string& name) { return std::string(WEFT_BIN_DIR) + "/" + name; }

Cluster::Cluster(std::string name, std::vector<std::string> up_options) : name_(std::move(name)) {
  (void)ctl({"down"});
  std::vector<std::string> words = {"up", "--image", "weft/probe=" + program("probe")};
  words.insert(words.end(), up_options.begin(), up_options.end());
  const Answer up = ctl(words, std::chrono::seconds(120));
  if (!up.ok()) trouble_ = "weftctl sandbox up: " + up.out + up.err;
}

Cluster::~Cluster() { (void)ctl({"down"}); }

Answer Cluster::ctl(std::vector<std::string> words, std::chrono::seconds limit) {
  std::vector<std::string> all = {program("weftctl"), "sandbox", "--name", name_};
  all.insert(all.end(), words.begin(), words.end());
  return run(all, limit);
}

Answer Cluster::exec(const std::string& where, std::vector<std::string> words, const std::string& ns,
                     std::chrono::seconds limit) {
  std::vector<std::string> all = {"exec", where, "-n", ns, "--"};
  all.insert(all.end(), words.begin(), words.end());
  return ctl(all, limit);
}

Answer Cluster::apply(const std::string& manifest) {
  const auto path = std::filesystem::temp_directory_path() / (name_ + "-" + std::to_string(++files_) + ".yaml");
  std::ofstream(path) << manifest;
  Answer answer = apply_file(path.string());
  std::filesystem::remove(path);
  return answer;
}

std::string Cluster::wait_for_pods(const std::vector<std::string>& pods, std::chrono::seconds limit) {
  std::string missing;
  (void)eventually(
      [&] {
        missing.clear();
        for (const auto& pod : pods) {
          const size_t slash = pod.find('/');
          const Answer ready = ctl({"get", "pods", pod.substr(slash + 1), "-n", pod.substr(0, slash), "--ready", "-o", "name"});
          if (ready.out.find(pod.substr(slash + 1)) == std::string::npos) missing += pod + " is not ready; ";
        }
        for (const auto& report : agent_reports(name_))
          if (!report.value("ready", false)) missing += report.value("name", "?") + " waits for " + report["waitingFor"].dump() + "; ";
        return missing.empty();
      },
      limit);
  return missing;
}

bool Cluster::is_captured(const std::string& pod) {
  for (const auto& report : agent_reports(name_))
    for (const auto& one : report["pods"])
      if (one.value("name", "") == pod) return one.value("captured", false);
  return false;
}

pid_t Cluster::process_of(const std::string& ns, const std::string& pod, const std::string& container) {
  // "sandbox://1234": the container's main process.
  const std::string id = pod_field(ns, pod, R"(.status.containerStatuses[?(@.name==")" + container + R"(")].containerID)");
  const pid_t pid = std::atoi(id.substr(id.rfind('/') + 1).c_str());
  return pid > 0 && kill(pid, 0) == 0 ? pid : 0;
}

bool Cluster::kill9(const std::string& component, const std::string& node) {
  return kill9_container("weft-system", component + "-" + node, component);
}

bool Cluster::kill9_container(const std::string& ns, const std::string& pod, const std::string& container) {
  pid_t pid = 0;
  // One that was killed just now has to come up first.
  (void)eventually([&] { return (pid = process_of(ns, pod, container)) > 0; }, std::chrono::seconds(5));
  return pid > 0 && kill(pid, SIGKILL) == 0;
}

Answer Cluster::in_netns_of(const std::string& ns, const std::string& pod, const std::string& shell_command) {
  const std::string path = pod_field(ns, pod, ".metadata.annotations.weft\\.mesh/netns");
  return run({"nsenter", "--net=" + path, "bash", "-c", shell_command});
}

std::vector<std::string> Cluster::ready_pods(const std::string& ns, const std::string& key, const std::string& value) {
  const Answer answer = ctl({"get", "pods", "-n", ns, "-l", key + "=" + value, "--ready", "-o", "name"});
  std::vector<std::string> names;
  std::istringstream lines(answer.out);
  for (std::string line; std::getline(lines, line);) names.push_back(line.substr(line.rfind('/') + 1));
  return names;
}

std::string Cluster::metrics(const std::string& node) {
  const std::string address = pod_field("weft-system", "weft-proxy-" + node, ".status.podIP");
  return exec(node, {"curl", "-s", "-m", "5", "http://" + address + ":15020/metrics"}).out;
}

uint64_t Cluster::metric(const std::string& node, const std::string& name, const std::vector<std::string>& labels) {
  std::istringstream lines(metrics(node));
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + " ") && !line.starts_with(name + "{")) continue;
    if (std::ranges::all_of(labels, [&](const std::string& label) { return line.find(label) != line.npos; }))
      sum += std::atof(line.c_str() + line.rfind(' '));
  }
  return static_cast<uint64_t>(sum);
}

std::string Cluster::pod_field(const std::string& ns, const std::string& pod, const std::string& path) {
  std::string text = ctl({"get", "pods", pod, "-n", ns, "-o", "jsonpath={" + path + "}"}).out;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

nlohmann::json probe(Cluster& cluster, const std::string& pod, const std::string& ns, std::vector<std::string> words,
                     std::chrono::seconds limit) {
  std::vector<std::string> all = {program("probe"), "connect"};
  all.insert(all.end(), words.begin(), words.end());
  const Answer answer = cluster.exec(pod, all, ns, limit);
  auto line = nlohmann::json::parse(answer.out, nullptr, false);
  if (line.is_discarded()) line = {{"end", "no answer: " + answer.out + answer.err}};
  return line;
}

Reply curl(Cluster& cluster, const std::string& where, std::vector<std::string> options, const std::string& url,
           const std::string& ns) {
  std::vector<std::string> words = {"curl", "-sS", "-m", "10", "-i", "-w", "\n%{http_code}"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(url);
  const Answer answer = cluster.exec(where, words, ns);
  Reply reply;
  reply.curl_exit = answer.exit_code;
  const size_t last = answer.out.rfind('\n', answer.out.size() > 1 ? answer.out.size() - 2 : 0);
  if (last == std::string::npos) return reply;
  reply.status = std::atoi(answer.out.c_str() + last + 1);
  const std::string text = answer.out.substr(0, last);
  const size_t split = text.find("\r\n\r\n");
  reply.headers = text.substr(0, split);
  if (split != std::string::npos) reply.body = text.substr(split + 4);
  return reply;
}

}  // namespace weft::test
