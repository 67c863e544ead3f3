#pragma once
// The command line of weft-agent.
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::agent {

// Where the certificates of this node's pods, or of the gateway, come from.
struct CaOptions {
  std::string address;  // "host:port"; empty: no certificates, no mutual TLS
  std::string name;     // what the CA's own certificate says; empty: the host of `address`
  std::string
      root_file;  // the trust bundle, PEM, followed; empty: the system's for the CA, the CA's for peers
  std::string token_file;  // bearer token, read for every request
  std::string cluster = "Kubernetes";
  int64_t validity_seconds = 0;  // 0: what the CA gives
};

// New pods by way of the container runtime, running ones by way of /proc: on Kubernetes.
struct CniOptions {
  std::string socket;    // where weft-cni asks; empty: no new pod waits for the agent, namespaces are told by annotation
  std::string conf_dir;  // the runtime's configurations, in which weft-cni is chained; empty: left alone
  std::string bin_dir;   // the runtime's plugins
  std::string binary;    // weft-cni as shipped
  bool fail_open = false;  // pods start outside the mesh while the agent cannot be asked
};

struct Options {
  model::Role role = model::Role::kNode;
  std::string node;          // role node
  std::string ns, pod;       // its own pod; role node: where it is one, which then says in which boot it is armed
  // Where objects come from: exactly one of these three. The first is a directory of manifests; the others are an API
  // server, of this pod's own cluster or as a kubeconfig says.
  std::string manifests;
  bool kubernetes = false;
  std::string kubeconfig;
  std::string status_dir;    // this agent's report and, of a directory of manifests, statuses, one file each
  std::string proxy_socket;  // where proxies connect
  std::vector<uid_t> proxy_users;
  std::string pin_root = "/sys/fs/bpf/weft";
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";  // as the node's kubelet sees it
  std::string pods_cgroup;  // empty: found
  std::string kubelet_cgroup;  // whose connections are probes; empty: none are, or found (with a CNI socket)
  uint32_t mark = 0;        // 0: the default bit
  std::string cluster_domain = "cluster.local", trust_domain = "cluster.local";
  bool same_node_tls = false;  // where no namespace says otherwise
  std::string log_level = "info";
  bool access_log = false;
  CaOptions ca;
  CniOptions cni;
  bool supervise = false;  // role gateway: a process beside it starts it again when a signal ends it
  base::Nanos drain{};     // role gateway: how long after SIGTERM it goes on while a proxy is there
  bool silent = false;     // writes no statuses of objects: role control, which has nothing to say about them
  bool probe = false;      // load every hook, attach nothing, say what the machine lacks
  bool uninstall = false;  // detach everything and remove the pins
};

[[nodiscard]] inline bool behind_api_server(const Options& options) {
  return options.kubernetes || !options.kubeconfig.empty();
}
// What is wrong with the choice among the three doors, as a sentence; empty: nothing.
[[nodiscard]] std::string wrong_door(const Options& options);

// Prints and ends the process for --help and for a wrong command line.
[[nodiscard]] Options parse_options(int argc, char** argv);

}  // namespace weft::agent
