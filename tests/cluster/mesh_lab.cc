#include "tests/cluster/mesh_lab.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace weft::test {
namespace {

using std::chrono::seconds;

const std::string kManifests = std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo";
constexpr const char* kFiles[] = {"httpgo", "httpgo-gateway", "httpgo-virtual-service",
                                  "httpgo-destinations"};

// Of the programs that the cluster's images are made of.
std::string weftctl() {
  const char* dir = std::getenv("WEFT_BIN");
  return (dir ? std::string(dir) : std::string(WEFT_SOURCE_DIR) + "/build/release/bin") + "/weftctl";
}

std::string state_of(const KubeLab& lab) {
  const char* dir = std::getenv("WEFT_CLUSTER_DIR");
  return (dir ? std::string(dir) : "/run/weft-cluster") + "/" + lab.name();
}

Statuses counted(const std::string& lines) {
  Statuses count;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) ++count[line];
  return count;
}

std::string load_script(const std::string& url, int duration, int rate) {
  std::ostringstream script;
  script << "i=0; while [ $i -lt " << duration * rate
         << " ]; do i=$((i+1)); curl -s -m 10 -o /dev/null -w '%{http_code}\\n' " << url << " & sleep "
         << 1.0 / rate << "; done; wait";
  return script.str();
}

// "": there is none, or its process went while it was read.
std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class Down : public testing::Environment {
 public:
  void TearDown() override { MeshTest::take_down(); }
};
[[maybe_unused]] auto* const kDown = testing::AddGlobalTestEnvironment(new Down);

}  // namespace

std::vector<std::string> processes_in(const std::string& pod_uid, const std::string& program) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string proc = entry.path();
    if (text_of(proc + "/cgroup").find(pod_uid) == std::string::npos) continue;
    const auto exe = std::filesystem::read_symlink(proc + "/exe", error);
    // A program that is kept alive by one of the same file: the one that does the work is meant.
    if (exe.filename() == program && text_of(proc + "/comm") != "weft-supervise\n") found.push_back(proc);
  }
  return found;
}

std::string static_pod_manifest(const std::string& ns, const std::string& name) {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", labels: {app: " + name +
         R"(}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: tools, image: "weft.local/tools:dev", command: [probe, serve, "7000"]}]
)";
}

std::string namespace_manifest(const std::string& name, const std::string& labels) {
  return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {" + labels + "}}\n";
}

std::string pod_manifest(const std::string& ns, const std::string& name, const std::string& node,
                         const std::string& labels, const std::string& more_spec) {
  const std::string meta = "metadata: {name: " + name + ", namespace: " + ns;
  return "---\napiVersion: v1\nkind: ServiceAccount\n" + meta + "}\n---\napiVersion: v1\nkind: Pod\n" + meta +
         ", labels: {" + labels + "app: " + name + "}}\nspec:\n  nodeName: " + node +
         "\n  serviceAccountName: " + name + "\n" + more_spec + R"(  terminationGracePeriodSeconds: 1
  containers:
  - {name: tools, image: "weft.local/tools:dev", command: [probe, serve, "7000"], ports: [{containerPort: 7000}]}
  - name: web
    image: cmssw/httpgo
    readinessProbe: {httpGet: {path: /healthz, port: 8888}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {tcpSocket: {port: 8888}, periodSeconds: 1, failureThreshold: 3}
---
apiVersion: v1
kind: Service
)" + meta +
         R"(}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: )" +
         name + R"(}
  ports: [{name: tcp-echo, port: 7000}, {name: tcp-web, port: 8888}]
)";
}

std::string capture_condition(const KubeLab& lab, const std::string& node) {
  const auto object = lab.get("", "node", node);
  if (object.is_null()) return "";
  for (const auto& one : object["status"]["conditions"])
    if (one["type"] == "weft.mesh/CaptureReady")
      return one["status"].get<std::string>() + " " + one["reason"].get<std::string>();
  return "";
}

bool has_startup_taint(const KubeLab& lab, const std::string& node) {
  const auto object = lab.get("", "node", node);
  if (object.is_null() || !object["spec"].contains("taints")) return false;
  return std::ranges::any_of(object["spec"]["taints"],
                             [](const auto& taint) { return taint["key"] == "weft.mesh/agent-not-ready"; });
}

UserShell::UserShell(const KubeLab& lab) : lab_(lab) {
  std::filesystem::create_directory(dir_ / "bin");
  std::filesystem::create_symlink(weftctl(), dir_ / "bin/istioctl");
  std::filesystem::create_symlink(state_of(lab) + "/bin/kubectl", dir_ / "bin/kubectl");
  for (const char* file : kFiles)
    std::filesystem::copy_file(kManifests + "/" + file + ".yaml", dir_ / (std::string(file) + ".yaml"));
}

Answer UserShell::line(const std::string& text, seconds limit) const {
  const std::string home = folder();
  const std::string script =
      "cd " + home + "; export HOME=$PWD PATH=$PWD/bin:$PATH KUBECONFIG=" + state_of(lab_) +
      "/admin.kubeconfig; [ -e .lines ] && . ./.lines; " + text +
      "\nended=$?; export -p | grep -E ' (SECURE_)?INGRESS_| GATEWAY_' >.lines; exit $ended";
  return lab_.in("outside", {"bash", "-c", script}, limit);
}

std::unique_ptr<KubeLab> MeshTest::lab_;
std::unique_ptr<UserShell> MeshTest::user_;

void MeshTest::bring_up(const std::string& name, const KubeLab::Words& options) {
  if (lab_) return;
  const char* wanted = std::getenv("WEFT_CLUSTER");
  lab_ = std::make_unique<KubeLab>(wanted ? wanted : name, options);
  ASSERT_EQ(lab_->trouble(), "");
  user_ = std::make_unique<UserShell>(*lab_);
}

void MeshTest::take_down() {
  user_.reset();
  lab_.reset();
}

void MeshTest::ensure_seed() {
  if (lab_->get("istio-system", "deployment", "istio-ingressgateway").is_null()) {
    const Answer answer = user_->line("istioctl manifest apply", seconds(180));
    ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
  }
  if (lab_->get("", "namespace", "dev").is_null()) {
    ASSERT_TRUE(user_->line("kubectl create namespace dev").ok());
    ASSERT_TRUE(user_->line("kubectl label namespace dev istio-injection=enabled").ok());
  }
  for (const char* file : kFiles) apply_file(file);
  for (const char* version : {"version=v1", "version=v2"})
    ASSERT_TRUE(lab_->has_ready_pods("dev", version, 1));
  ASSERT_TRUE(eventually([] { return statuses(20) == Statuses{{"200", 20}}; }, seconds(30)));
}

void MeshTest::apply_file(const std::string& name) {
  const Answer answer = user_->line("kubectl apply -f " + name + ".yaml");
  ASSERT_EQ(answer.exit_code, 0) << answer.out << answer.err;
}

void MeshTest::remove_file(const std::string& name) {
  const Answer answer = user_->line("kubectl delete -f " + name + ".yaml");
  ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
}

std::string MeshTest::gateway_url(const std::string& port_name) {
  static std::map<std::string, std::string> known;
  const auto pods = lab_->ready_pods("istio-system", "istio=ingressgateway");
  if (pods.empty()) return known[port_name];
  const auto service = lab_->get("istio-system", "service", "istio-ingressgateway");
  if (service.is_null()) return known[port_name];
  for (const auto& port : service["spec"]["ports"])
    if (port["name"] == port_name)
      known[port_name] = pods.front()["status"]["hostIP"].get<std::string>() + ":" +
                         std::to_string(port["nodePort"].get<int>());
  return known[port_name];
}

WebReply MeshTest::get(const std::string& path, const KubeLab::Words& options) {
  KubeLab::Words words = {"curl", "-sS", "-m", "10", "-w", "\n%{http_code}"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back("http://" + gateway_url() + path);
  const Answer answer = lab_->in("outside", words);
  WebReply reply;
  reply.curl_exit = answer.exit_code;
  const size_t last = answer.out.rfind('\n');
  if (last == std::string::npos) return reply;
  reply.status = std::atoi(answer.out.c_str() + last + 1);
  reply.body = answer.out.substr(0, last);
  return reply;
}

Statuses MeshTest::statuses(int n) {
  const std::string url = "'http://" + gateway_url() + "/httpgo?n=[1-" + std::to_string(n) + "]'";
  return counted(
      lab_->in("outside", {"bash", "-c", "curl -s -m 20 -o /dev/null -w '%{http_code}\\n' " + url}).out);
}

std::future<Statuses> MeshTest::load(int duration, int rate) {
  const std::string script = load_script("http://" + gateway_url() + "/httpgo", duration, rate);
  return std::async(std::launch::async, [script, duration] {
    return counted(lab_->in("outside", {"bash", "-c", script}, seconds(duration * 2 + 20)).out);
  });
}

std::future<Statuses> MeshTest::load_from(const std::string& ns, const std::string& pod,
                                          const std::string& url, int duration, int rate) {
  const std::string script = load_script(url, duration, rate);
  return std::async(std::launch::async, [ns, pod, script, duration] {
    return counted(lab_->exec(ns, pod, {"sh", "-c", script}, seconds(duration * 2 + 20)).out);
  });
}

void MeshTest::apply(const std::string& manifest) {
  const Answer answer = lab_->apply(manifest);
  ASSERT_TRUE(answer.ok()) << manifest << answer.err;
}

void MeshTest::ensure_world() {
  if (!lab_->get("mesh", "pod", "far").is_null()) return;
  ASSERT_NO_FATAL_FAILURE(ensure_seed());
  apply(namespace_manifest("mesh", "weft.mesh/enabled: 'true'") + namespace_manifest("plain") +
        pod_manifest("mesh", "client", "node1") + pod_manifest("mesh", "near", "node1") +
        pod_manifest("plain", "outsider", "node1") + pod_manifest("mesh", "far", "node2"));
  ASSERT_TRUE(lab_->has_ready_pods("mesh", "app", 3))
      << lab_->kubectl({"describe", "pods", "-n", "mesh"}).out;
  ASSERT_TRUE(lab_->has_ready_pods("plain", "app", 1));
  for (const char* pod : {"client", "near", "far"}) ASSERT_TRUE(becomes_captured("mesh", pod)) << pod;
  for (const char* to : {"near.mesh", "far.mesh"})
    ASSERT_TRUE(eventually([&] { return works("mesh", "client", to); })) << call("mesh", "client", to);
}

nlohmann::json MeshTest::call(const std::string& ns, const std::string& pod, const std::string& to) {
  const Answer answer =
      lab_->exec(ns, pod, {"probe", "connect", to + ":7000", "--bytes", "1000", "--seconds", "5"});
  auto line = nlohmann::json::parse(answer.out, nullptr, false);
  if (line.is_discarded()) line = {{"end", "no answer: " + answer.out + answer.err}};
  return line;
}

bool MeshTest::works(const std::string& ns, const std::string& pod, const std::string& to) {
  const nlohmann::json outcome = call(ns, pod, to);
  return outcome["end"] == "eof" && outcome.value("received", 0) == 1000;
}

bool MeshTest::is_refused(const nlohmann::json& outcome) {
  static const std::set<std::string> kEnds = {"ECONNRESET", "EPIPE", "EPERM", "ECONNREFUSED"};
  return kEnds.contains(outcome.value("end", "")) && outcome.value("received", 0) == 0;
}

void MeshTest::policy(const std::string& kind, const std::string& name, const std::string& spec,
                      const std::string& ns) {
  apply("apiVersion: security.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name +
        ", namespace: " + ns + "}\nspec: " + spec + "\n");
}

void MeshTest::remove_policy(const std::string& kind, const std::string& name, const std::string& ns) {
  EXPECT_TRUE(lab_->kubectl({"delete", kind, name, "-n", ns, "--ignore-not-found"}).ok());
}

uint64_t MeshTest::metric(const std::string& node, const std::string& name,
                          const std::vector<std::string>& labels) {
  double sum = 0;
  for (const auto& pod : lab_->ready_pods("weft-system", "app=weft-proxy")) {
    if (pod["spec"]["nodeName"] != node) continue;
    const std::string url = "http://" + pod["status"]["podIP"].get<std::string>() + ":15020/metrics";
    std::istringstream lines(lab_->in(node, {"curl", "-s", "-m", "5", url}).out);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(name + " ") && !line.starts_with(name + "{")) continue;
      if (std::ranges::all_of(labels,
                              [&](const std::string& label) { return line.find(label) != line.npos; }))
        sum += std::atof(line.c_str() + line.rfind(' '));
    }
  }
  return static_cast<uint64_t>(sum);
}

nlohmann::json MeshTest::agent_report(const std::string& node) {
  const Answer answer = lab_->in(
      node, {"bash", "-c",
             "cat /var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/status/Agent." + node + ".json"});
  auto said = nlohmann::json::parse(answer.out, nullptr, false);
  return said.is_discarded() ? nlohmann::json::object() : said;
}

std::string MeshTest::annotation(const std::string& ns, const std::string& pod, const std::string& name) {
  const auto object = lab_->get(ns, "pod", pod);
  if (object.is_null() || !object["metadata"].contains("annotations")) return "";
  return object["metadata"]["annotations"].value(name, "");
}

std::string MeshTest::capture_condition(const std::string& node) {
  return test::capture_condition(*lab_, node);
}

bool MeshTest::has_startup_taint(const std::string& node) {
  return test::has_startup_taint(*lab_, node);
}

bool MeshTest::is_captured(const std::string& ns, const std::string& pod) {
  return annotation(ns, pod, "ambient.istio.io/redirection") == "enabled";
}

std::vector<pid_t> MeshTest::processes(const std::string& ns, const std::string& labels,
                                       const std::string& node, const std::string& program) {
  std::vector<pid_t> found;
  for (const auto& pod : lab_->ready_pods(ns, labels)) {
    if (pod["spec"]["nodeName"] != node) continue;
    for (const auto& proc : processes_in(pod["metadata"]["uid"], program))
      found.push_back(std::atoi(proc.c_str() + std::string("/proc/").size()));
  }
  return found;
}

bool MeshTest::becomes_captured(const std::string& ns, const std::string& pod, seconds limit) {
  return eventually([&] { return is_captured(ns, pod); }, limit);
}

}  // namespace weft::test
