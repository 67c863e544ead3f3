#pragma once
// The command line of weft-agent in its role control.
#include <string>
#include <vector>

#include "agent/ca/issue.h"
#include "agent/nodes/capture.h"
#include "agent/options.h"

namespace weft::agent {

struct ControlOptions {
  Options common;                       // objects, statuses, trust domain, log
  std::string directory;                // of the CA's files
  std::string bundle_out;               // file that gets the trust bundle; empty: none
  base::SocketAddress listen;           // where certificates are asked for
  std::vector<std::string> names;       // of the server: DNS names and addresses
  std::vector<std::string> node_accounts = {"weft-system/weft-agent"};
  std::string token_keys;               // JWKS file
  std::string token_issuer = "https://kubernetes.default.svc.cluster.local";
  std::string token_audience = "istio-ca";
  std::string cluster = "Kubernetes";   // what callers may call this cluster
  ca::Validity validity;
  nodes::TaintMode node_taint = nodes::TaintMode::kRemove;  // behind an API server
};

// Whether `--role control` is on the command line: then it is read by the function below and no other.
[[nodiscard]] bool is_control(int argc, char** argv);
// Prints and ends the process for --help and for a wrong command line.
[[nodiscard]] ControlOptions parse_control_options(int argc, char** argv);

}  // namespace weft::agent
