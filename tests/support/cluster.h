#pragma once
// A sandbox of two nodes for end-to-end tests, driven by weftctl as a user drives it.
#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/command.h"

namespace weft::test {

// Path of a program of the build that this test belongs to.
[[nodiscard]] std::string program(const std::string& name);

// Up when made, down when it dies; also removes what an earlier, killed run of the same name left.
class Cluster {
 public:
  explicit Cluster(std::string name, std::vector<std::string> up_options = {"--nodes", "2"});
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Why it did not come up; empty when it did.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

  // weftctl sandbox --name NAME words...
  Answer ctl(std::vector<std::string> words, std::chrono::seconds limit = std::chrono::seconds(60));
  // Runs a command in a pod ("pod -n ns"), a node or "outside".
  Answer exec(const std::string& where, std::vector<std::string> words, const std::string& ns = "dev",
              std::chrono::seconds limit = std::chrono::seconds(60));
  // Applies manifest text.
  Answer apply(const std::string& manifest);
  Answer apply_file(const std::string& path) { return ctl({"apply", "-f", path}); }
  Answer remove_file(const std::string& path) { return ctl({"delete", "-f", path}); }

  // Until the named pods ("ns/name") run and are ready, and every node's agent says that it is. Why not, else "".
  std::string wait_for_pods(const std::vector<std::string>& pods, std::chrono::seconds limit = std::chrono::seconds(60));
  // Whether the agent of some node says that this pod is captured.
  bool is_captured(const std::string& pod);
  // The main process of a container; 0: it does not run.
  pid_t process_of(const std::string& ns, const std::string& pod, const std::string& container);
  // Sends SIGKILL to a component of the mesh on a node: "weft-agent", "weft-proxy".
  bool kill9(const std::string& component, const std::string& node);
  bool kill9_container(const std::string& ns, const std::string& pod, const std::string& container);
  // Runs a program of this machine in the network namespace of a pod, with nothing else of the pod.
  Answer in_netns_of(const std::string& ns, const std::string& pod, const std::string& shell_command);

  // Pods of `ns` whose label `key` is `value`, running and ready.
  std::vector<std::string> ready_pods(const std::string& ns, const std::string& key, const std::string& value);
  std::string pod_field(const std::string& ns, const std::string& pod, const std::string& path);
  // What the proxy of a node says on /metrics.
  std::string metrics(const std::string& node);
  // Of that, the sum over the series that have all of the labels, each as label="value".
  uint64_t metric(const std::string& node, const std::string& name, const std::vector<std::string>& labels = {});
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::string trouble_;
  int files_ = 0;
};

// probe's view of its connection from a pod: the JSON line it prints, or {"end": "no answer: ..."}.
[[nodiscard]] nlohmann::json probe(Cluster& cluster, const std::string& pod, const std::string& ns,
                                   std::vector<std::string> words, std::chrono::seconds limit = std::chrono::seconds(60));

// curl's view of one HTTP exchange.
struct Reply {
  int curl_exit = -1;  // 0: an answer came; 7: refused; 52: closed without one; 56: reset
  int status = 0;
  std::string headers, body;
};
// curl from `where` (a pod of `ns`, a node, "outside").
[[nodiscard]] Reply curl(Cluster& cluster, const std::string& where, std::vector<std::string> options,
                         const std::string& url, const std::string& ns = "dev");

}  // namespace weft::test
