#include "tests/cluster/kube_lab.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weft::test {
namespace {

bool is_ready(const nlohmann::json& pod) {
  if (pod["metadata"].contains("deletionTimestamp")) return false;
  for (const auto& condition : pod["status"].value("conditions", nlohmann::json::array()))
    if (condition["type"] == "Ready" && condition["status"] == "True") return true;
  return false;
}

constexpr const char* kPair = R"(
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: cmssw/httpgo, resources: {limits: {memory: 64Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "weft.local/tools:dev"}]
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: server}
  ports: [{port: 80, targetPort: 8888}]
)";

// A file that goes with the object.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& text) {
    std::string path = "/tmp/weft-manifest-XXXXXX";
    close(mkstemp(path.data()));
    std::ofstream(path) << text;
    path_ = path;
  }
  ~ScratchFile() { std::filesystem::remove(path_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string apply_pair(const KubeLab& lab) {
  if (!eventually([&] { return lab.get("default", "serviceaccount", "default").is_object(); }, std::chrono::seconds(20)))
    return "namespace default gets no ServiceAccount";
  const Answer applied = lab.apply(kPair);
  if (!applied.ok()) return applied.err;
  if (lab.has_ready_pods("default", "app in (server, client)", 2)) return "";
  return lab.kubectl({"describe", "pods"}).out;
}

Answer cluster_command(const std::string& name, std::vector<std::string> words, std::chrono::seconds limit) {
  std::vector<std::string> all = {std::string(WEFT_SOURCE_DIR) + "/scripts/cluster", "--name", name};
  all.insert(all.end(), words.begin(), words.end());
  return run(all, limit);
}

KubeLab::KubeLab(std::string name, Words options) : name_(std::move(name)) {
  (void)cluster({"down"});
  Words words = {"up"};
  words.insert(words.end(), options.begin(), options.end());
  // Long enough for a first build of Kubernetes.
  const Answer up = cluster(words, std::chrono::minutes(30));
  if (!up.ok()) trouble_ = "scripts/cluster up: " + up.out + up.err;
}

KubeLab::~KubeLab() {
  (void)cluster({"down"});
}

Answer KubeLab::cluster(Words words, std::chrono::seconds limit) const {
  return cluster_command(name_, std::move(words), limit);
}

Answer KubeLab::kubectl(Words words, std::chrono::seconds limit) const {
  words.insert(words.begin(), "kubectl");
  return cluster(std::move(words), limit);
}

Answer KubeLab::apply(const std::string& manifest) const {
  const ScratchFile file(manifest);
  return kubectl({"apply", "--server-side", "-f", file.path()});
}

Answer KubeLab::exec(const std::string& ns, const std::string& pod, Words words,
                     std::chrono::seconds limit) const {
  Words all = {"exec", "-n", ns, pod, "--"};
  all.insert(all.end(), words.begin(), words.end());
  return kubectl(all, limit);
}

Answer KubeLab::in(const std::string& place, Words words, std::chrono::seconds limit) const {
  Words all = {"shell", place};
  all.insert(all.end(), words.begin(), words.end());
  return cluster(all, limit);
}

nlohmann::json KubeLab::get(const std::string& ns, const std::string& kind, const std::string& name) const {
  const Answer answer = kubectl({"get", kind, name, "-n", ns, "-o", "json"});
  auto object = nlohmann::json::parse(answer.ok() ? answer.out : "null", nullptr, false);
  return object.is_discarded() ? nlohmann::json() : object;
}

std::vector<nlohmann::json> KubeLab::ready_pods(const std::string& ns, const std::string& labels) const {
  std::vector<nlohmann::json> ready;
  const Answer answer = kubectl({"get", "pods", "-n", ns, "-l", labels, "-o", "json"});
  const auto list = nlohmann::json::parse(answer.out, nullptr, false);
  if (!answer.ok() || !list.is_object()) return ready;
  for (const auto& pod : list["items"])
    if (is_ready(pod)) ready.push_back(pod);
  return ready;
}

bool KubeLab::has_ready_pods(const std::string& ns, const std::string& labels, size_t count,
                             std::chrono::seconds limit) const {
  return eventually([&] { return ready_pods(ns, labels).size() == count; }, limit);
}

std::string KubeLab::traces(const std::string& name) {
  const Answer answer = cluster_command(name, {"traces"}, std::chrono::seconds(30));
  return answer.out + answer.err;
}

}  // namespace weft::test
