#include "tests/support/cluster.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace weft::test {

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

std::vector<std::string> Cluster::ready_pods(const std::string& ns, const std::string& key, const std::string& value) {
  const Answer answer = ctl({"get", "pods", "-n", ns, "-l", key + "=" + value, "--ready", "-o", "name"});
  std::vector<std::string> names;
  std::istringstream lines(answer.out);
  for (std::string line; std::getline(lines, line);) names.push_back(line.substr(line.rfind('/') + 1));
  return names;
}

std::string Cluster::pod_field(const std::string& ns, const std::string& pod, const std::string& path) {
  std::string text = ctl({"get", "pods", pod, "-n", ns, "-o", "jsonpath={" + path + "}"}).out;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
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
