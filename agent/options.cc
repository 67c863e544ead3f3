#include "agent/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

namespace weft::agent {
namespace {

// What the role cannot do without.
std::string missing(const Options& options) {
  const CniOptions& cni = options.cni;
  if (!cni.conf_dir.empty() && !options.uninstall && (cni.socket.empty() || cni.bin_dir.empty() || cni.binary.empty()))
    return "--cni-conf-dir needs --cni-socket, --cni-bin-dir and --cni-binary: what would be chained there";
  if (options.probe || options.uninstall) return "";
  if (std::string wrong = wrong_door(options); !wrong.empty()) return wrong;
  if (options.status_dir.empty() && !behind_api_server(options))
    return "--status-dir DIR is needed with --manifests: where statuses are written";
  if (options.proxy_socket.empty()) return "--proxy-socket PATH is needed: where the proxy connects";
  if (options.role == model::Role::kNode && options.node.empty())
    return "--node NAME is needed for the role node";
  if (options.role == model::Role::kGateway && (options.ns.empty() || options.pod.empty()))
    return "--namespace and --pod are needed for the role gateway: the gateway's own pod";
  if (!options.ca.address.empty() && options.ca.token_file.empty())
    return "--ca-token FILE is needed with --ca-address: the token that says who asks";
  return "";
}

void add_ca_options(CLI::App& app, CaOptions& ca) {
  app.add_option(
      "--ca-address", ca.address,
      "host:port of the certificate authority; with it calls between nodes are mutual TLS or not at all");
  app.add_option("--ca-name", ca.name,
                 "name in the authority's own certificate; else the host of --ca-address");
  app.add_option(
      "--ca-root", ca.root_file,
      "PEM file of the roots to believe, several at once, followed while running; without it the system's "
      "roots for the authority, and for peers what the authority sends");
  app.add_option("--ca-token", ca.token_file, "file of the bearer token, read for every request");
  app.add_option("--ca-cluster", ca.cluster, "clusterid to say to the authority")->capture_default_str();
  app.add_option("--ca-validity", ca.validity_seconds, "seconds to ask for; 0 takes what the authority gives")
      ->capture_default_str();
}

void add_cni_options(CLI::App& app, CniOptions& cni) {
  app.add_option("--cni-socket", cni.socket,
                 "Unix socket on which weft-cni asks for new pods to be captured; with it running pods are found in /proc, "
                 "which has to be the node's (hostPID)");
  app.add_option("--cni-conf-dir", cni.conf_dir, "the runtime's CNI configurations: weft-cni is chained there and kept so");
  app.add_option("--cni-bin-dir", cni.bin_dir, "the runtime's CNI plugins: weft-cni is installed there");
  app.add_option("--cni-binary", cni.binary, "weft-cni as shipped");
  app.add_flag("--cni-fail-open", cni.fail_open,
               "new pods start outside the mesh while this agent cannot be asked; without it they wait");
}

}  // namespace

std::string wrong_door(const Options& options) {
  const int given = (options.manifests.empty() ? 0 : 1) + (options.kubernetes ? 1 : 0) + (options.kubeconfig.empty() ? 0 : 1);
  if (given == 1) return "";
  const std::string doors =
      "--kubernetes (the cluster this pod runs in), --kubeconfig FILE (an API server) or --manifests DIR (a directory "
      "of objects)";
  return given == 0 ? "where objects come from is missing: " + doors : "only one of these may be given: " + doors;
}

// lint: table
Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app{"weft's control: watches objects, compiles them for the kernel and the proxies, enrols pods"};
  const std::map<std::string, model::Role> roles = {{"node", model::Role::kNode},
                                                    {"gateway", model::Role::kGateway}};
  app.add_option("--role", options.role, "node (privileged, loads the hooks), gateway (no privilege), or control (no privilege; has "
                 "options of its own: --role control --help)")
      ->transform(CLI::CheckedTransformer(roles, CLI::ignore_case));
  app.add_option("--node", options.node, "role node: name of this node, as in Pod spec.nodeName");
  app.add_option("--namespace", options.ns, "namespace of the agent's own pod (role gateway: needed)");
  app.add_option("--pod", options.pod, "name of the agent's own pod (role gateway: needed); a node's agent says on it in which boot it is armed");
  app.add_option("--manifests", options.manifests, "objects come from this directory, watched");
  app.add_flag("--kubernetes", options.kubernetes, "objects come from the API server of the cluster this pod runs in");
  app.add_option("--kubeconfig", options.kubeconfig, "objects come from the API server that this kubeconfig names");
  app.add_option("--status-dir", options.status_dir,
                 "directory for the report of this agent and, with --manifests, for the statuses of objects");
  app.add_option("--proxy-socket", options.proxy_socket, "Unix socket on which proxies are served");
  app.add_option("--proxy-user", options.proxy_users, "uid that a proxy may have, besides the agent's own");
  app.add_option_function<uint32_t>(
      "--drain", [&options](uint32_t seconds) { options.drain = std::chrono::seconds(seconds); },
      "role gateway: seconds after SIGTERM that it goes on while its proxy still ends its connections (0)");
  app.add_flag("--supervise", options.supervise, "role gateway: a process beside this one starts it again when a signal ends it");
  app.add_option("--pin-root", options.pin_root, "directory of a bpf file system for maps and links")
      ->capture_default_str();
  app.add_option("--boot-id-file", options.boot_id_file, "where the node's kubelet reads the id of the boot")->capture_default_str();
  app.add_option("--cgroup", options.pods_cgroup, "cgroup v2 directory that holds the node's pods; without it, it is looked for");
  app.add_option("--kubelet-cgroup", options.kubelet_cgroup,
                 "cgroup v2 directory of the node's kubelet: its probes reach the applications of strict pods");
  app.add_option("--mark", options.mark, "bit of SO_MARK to use");
  app.add_option("--cluster-domain", options.cluster_domain)->capture_default_str();
  app.add_option("--trust-domain", options.trust_domain)->capture_default_str();
  app.add_flag("--same-node-mtls", options.same_node_tls,
               "mutual TLS also between pods of one node, where no namespace says otherwise (annotation "
               "weft.mesh/same-node)");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error, off")
      ->capture_default_str();
  app.add_flag("--access-log", options.access_log, "proxies write one line a request or connection");
  add_ca_options(app, options.ca);
  add_cni_options(app, options.cni);
  app.add_flag("--probe", options.probe, "load every hook, attach nothing, say what this machine lacks");
  app.add_flag("--uninstall", options.uninstall, "detach everything below --pin-root and remove the pins; with --cni-conf-dir unchain weft-cni there");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (const std::string what = missing(options); !what.empty()) {
    std::fprintf(stderr, "weft-agent: %s\n", what.c_str());
    std::exit(2);
  }
  return options;
}

}  // namespace weft::agent
