#pragma once
// What a sandbox is made of and where each part lies. Everything that `up` makes is below one state
// directory, one cgroup and one pattern of BPF pin directories, so `down` needs to know no more than the
// name.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/sandbox/json.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

inline constexpr const char* kSandboxesDir = "/run/weft/sandbox";
inline constexpr const char* kPinsDir = "/sys/fs/bpf/weft";
inline constexpr uint32_t kMaxNodes = 15;
inline constexpr uint32_t kMaxSandboxes = 16;

// The choices made at `up`; saved as sandbox.json.
struct Plan {
  std::string name = "default";
  uint32_t index = 0;  // tells the sandboxes' address ranges apart
  uint32_t nodes = 2;
  bool dual_stack = false;
  bool mesh = true;
  std::string certificate_lifetime = "24h";   // what control signs for: a number and s, m or h
  std::string programs;                       // directory of weft-agent, weft-proxy and the test applications
  std::string cgroup_root;                    // cgroup v2 mount
  std::map<std::string, std::string> images;  // more image names and their commands

  [[nodiscard]] Json to_json() const;
  static base::Result<Plan> from_json(const Json& json);
};

// "90s", "2m", "24h": from ten seconds to 90 days.
[[nodiscard]] base::Status check_lifetime(const std::string& text);
// Lower-case letters, digits and dashes, at most 32, as Kubernetes names are.
[[nodiscard]] base::Status check_name(const std::string& name);

// Pure: every path and address of a sandbox. Copied freely.
class Layout {
 public:
  explicit Layout(Plan plan) : plan_(std::move(plan)) {}

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] std::string state() const { return std::string(kSandboxesDir) + "/" + plan_.name; }
  [[nodiscard]] std::string in_state(const std::string& below) const { return state() + "/" + below; }
  [[nodiscard]] std::string plan_file() const { return in_state("sandbox.json"); }
  [[nodiscard]] std::string daemon_lock() const { return in_state("daemon.lock"); }
  [[nodiscard]] std::string netns_dir() const { return in_state("netns"); }
  [[nodiscard]] std::string netns(const std::string& name) const { return netns_dir() + "/" + name; }
  [[nodiscard]] std::string applied() const { return in_state("applied"); }  // what only the controllers read
  [[nodiscard]] std::string manifests() const { return in_state("manifests"); }  // what the mesh sees
  [[nodiscard]] std::string user() const { return in_state("manifests/user"); }
  [[nodiscard]] std::string generated() const { return in_state("manifests/generated"); }
  [[nodiscard]] std::string status() const { return in_state("status"); }
  [[nodiscard]] std::string requests() const { return in_state("requests"); }
  [[nodiscard]] std::string tokens() const { return in_state("tokens"); }   // the key that signs tokens
  [[nodiscard]] std::string jwks_dir() const { return in_state("jwks"); }   // its public half, for control
  [[nodiscard]] std::string ca_dir() const { return in_state("ca"); }        // private to control
  [[nodiscard]] std::string trust_dir() const { return in_state("trust"); }  // root-cert.pem, for everybody
  [[nodiscard]] std::string pods() const { return in_state("pods"); }
  [[nodiscard]] std::string logs() const { return in_state("logs"); }
  [[nodiscard]] std::string node_dir(const std::string& node) const { return in_state("nodes/" + node); }
  [[nodiscard]] std::string pins(const std::string& node) const;

  [[nodiscard]] std::string cgroup() const { return plan_.cgroup_root + "/weft-sandbox-" + plan_.name; }
  [[nodiscard]] std::string kubepods(const std::string& node) const {
    return cgroup() + "/" + node + "/kubepods";
  }

  // Where the node's probes run: the mesh knows them by it.
  [[nodiscard]] std::string kubelet(const std::string& node) const { return cgroup() + "/" + node + "/kubelet"; }

  [[nodiscard]] std::vector<std::string> node_names() const;
  [[nodiscard]] std::string node_name(uint32_t number) const { return "node" + std::to_string(number); }
  [[nodiscard]] uint32_t node_number(const std::string& name) const;  // 0: no such node

  // IPv4 and IPv6 text forms. Nodes and pods are counted from 1.
  [[nodiscard]] std::string fabric_v4(uint32_t host) const;
  [[nodiscard]] std::string fabric_v6(uint32_t host) const;
  [[nodiscard]] std::string node_v4(uint32_t node) const { return fabric_v4(10 + node); }
  [[nodiscard]] std::string node_v6(uint32_t node) const { return fabric_v6(10 + node); }
  [[nodiscard]] std::string pod_v4(uint32_t node, uint32_t host) const;
  [[nodiscard]] std::string pod_v6(uint32_t node, uint32_t host) const;
  [[nodiscard]] std::string pod_cidr_v4(uint32_t node) const { return pod_v4(node, 0) + "/24"; }
  [[nodiscard]] std::string pod_cidr_v6(uint32_t node) const;
  [[nodiscard]] std::string service_v4(uint32_t host) const;
  [[nodiscard]] std::string service_v6(uint32_t host) const;
  [[nodiscard]] std::string service_cidr_v4() const { return service_v4(0) + "/16"; }
  [[nodiscard]] std::string service_cidr_v6() const;
  [[nodiscard]] std::string dns_address() const { return fabric_v4(1); }

 private:
  Plan plan_;
};

// The CA's Service: among the first ten, which clusters keep for what is theirs.
inline constexpr uint32_t kControlServiceHost = 2;
inline constexpr uint32_t kControlUser = 65532;  // nobody else runs as this one: the CA's key is its alone
inline constexpr uint32_t kOutsideHost = 100;  // 10.77.x.100: a client that is no part of the cluster

// Reads sandbox.json of `name`; a sentence with what to do next if there is none.
[[nodiscard]] base::Result<Layout> load_layout(const std::string& name);
[[nodiscard]] std::vector<std::string> sandbox_names();

}  // namespace weft::sandbox
