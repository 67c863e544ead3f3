#pragma once
// A real Kubernetes cluster of scripts/cluster for tests, driven by the commands that a user types.
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/command.h"

namespace weft::test {

// Up when made, down when it dies; also removes what an earlier, killed run of the same name left. One
// thread. Everything waits at most for its `limit`; an Answer that took longer says so in `err`.
class KubeLab {
 public:
  using Words = std::vector<std::string>;

  // `name`: 1 to 16 of a-z and 0-9. `options`: of scripts/cluster up.
  explicit KubeLab(std::string name, Words options = {});
  ~KubeLab();
  KubeLab(const KubeLab&) = delete;
  KubeLab& operator=(const KubeLab&) = delete;

  // Why it did not come up; empty when it did.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // scripts/cluster --name NAME words...
  Answer cluster(Words words, std::chrono::seconds limit = std::chrono::seconds(120)) const;
  Answer kubectl(Words words, std::chrono::seconds limit = std::chrono::seconds(60)) const;
  // kubectl apply of manifest text, on the server's side.
  Answer apply(const std::string& manifest) const;
  // A command in a pod's first container.
  Answer exec(const std::string& ns, const std::string& pod, Words words,
              std::chrono::seconds limit = std::chrono::seconds(30)) const;
  // A command of this machine in a place: a node (all its namespaces), "outside" or "control" (network only).
  Answer in(const std::string& place, Words words,
            std::chrono::seconds limit = std::chrono::seconds(30)) const;

  // The object as JSON; null when there is none.
  [[nodiscard]] nlohmann::json get(const std::string& ns, const std::string& kind,
                                   const std::string& name) const;
  // Pods of `ns` with these labels that are ready and are not ending: `items` of the list.
  [[nodiscard]] std::vector<nlohmann::json> ready_pods(const std::string& ns,
                                                       const std::string& labels) const;
  [[nodiscard]] bool has_ready_pods(const std::string& ns, const std::string& labels, size_t count,
                                    std::chrono::seconds limit = std::chrono::seconds(60)) const;

  // What the machine still has of a cluster of that name, one line each: namespaces, cgroups, mounts, files.
  // "": nothing.
  [[nodiscard]] static std::string traces(const std::string& name);

 private:
  std::string name_;
  std::string trouble_;
};

// In namespace default: httpgo in 64 MiB on node1 behind Service `server`, in as many families as there are, and a pod
// with tools on node2. "": both are ready; else why not.
[[nodiscard]] std::string apply_pair(const KubeLab& lab);

// Command line of scripts/cluster for a cluster of that name.
[[nodiscard]] Answer cluster_command(const std::string& name, std::vector<std::string> words,
                                     std::chrono::seconds limit);

}  // namespace weft::test
