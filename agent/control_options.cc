#include "agent/control_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace weft::agent {
namespace {

constexpr int64_t kLongest = 10LL * 365 * 86'400;

// "90s", "2m", "24h", "90" (seconds); 0 for anything else.
int64_t seconds_of(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const int64_t factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (error != std::errc() || value <= 0 || factor == 0 || value > kLongest / factor) return 0;
  return value * factor;
}

[[noreturn]] void wrong(const std::string& what) {
  std::fprintf(stderr, "weft-agent: %s\n", what.c_str());
  std::exit(2);
}

std::string missing(const ControlOptions& options) {
  if (std::string wrong = wrong_door(options.common); !wrong.empty()) return wrong;
  if (options.common.status_dir.empty() && !behind_api_server(options.common))
    return "--status-dir DIR is needed with --manifests: where the report is written";
  if (options.common.ns.empty() || options.common.pod.empty())
    return "--namespace and --pod are needed: control's own pod";
  if (options.directory.empty()) return "--ca-dir DIR is needed: where root and signing key are, or are made";
  if (options.names.empty()) return "--ca-name NAME is needed: what callers verify in the server's certificate";
  if (options.token_keys.empty() && !behind_api_server(options.common))
    return "--token-keys FILE is needed with --manifests: the JWKS that callers' tokens are proven with";
  if (!options.token_keys.empty() && behind_api_server(options.common))
    return "--token-keys is for --manifests: an API server is asked about tokens (TokenReview)";
  return "";
}

void take_lifetimes(const std::string& standard, const std::string& longest, ControlOptions& options) {
  const int64_t usual = seconds_of(standard), most = longest.empty() ? 0 : seconds_of(longest);
  if (usual == 0) wrong("--certificate-lifetime: \"" + standard + "\" is no time such as 90s, 2m or 24h");
  if (!longest.empty() && most < usual)
    wrong("--longest-lifetime: \"" + longest + "\" is no time, or below --certificate-lifetime");
  options.validity.standard = std::chrono::seconds(usual);
  options.validity.longest = std::chrono::seconds(longest.empty() ? std::max<int64_t>(usual, 86'400) : most);
}

}  // namespace

bool is_control(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--role=control") return true;
    if (word == "--role" && i + 1 < argc && std::string_view(argv[i + 1]) == "control") return true;
  }
  return false;
}

// lint: table
ControlOptions parse_control_options(int argc, char** argv) {
  ControlOptions options;
  Options& common = options.common;
  common.silent = true;
  std::string role, listen = "0.0.0.0:15012", lifetime = "24h", longest, taint = "remove";
  CLI::App app{"weft's certificate authority: gives the identities of this mesh's pods to those who may have them"};
  app.add_option("--role", role, "control");
  app.add_option("--namespace", common.ns, "namespace of control's own pod");
  app.add_option("--pod", common.pod, "name of control's own pod");
  app.add_option("--manifests", common.manifests, "objects come from this directory, watched");
  app.add_flag("--kubernetes", common.kubernetes, "objects come from the API server of the cluster this pod runs in");
  app.add_option("--kubeconfig", common.kubeconfig, "objects come from the API server that this kubeconfig names");
  app.add_option("--status-dir", common.status_dir, "directory for the report of this agent");
  app.add_option("--ca-dir", options.directory,
                 "directory of ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem; followed while running; "
                 "an empty one gets a root of its own; behind an API server it holds what Secret cacerts, or else weft-ca, "
                 "holds");
  app.add_option("--ca-bundle-out", options.bundle_out, "file to write the trust bundle to, for those who verify");
  app.add_option("--ca-listen", listen, "address and port to serve on")->capture_default_str();
  app.add_option("--ca-name", options.names, "DNS name or address in the server's own certificate; may be repeated");
  app.add_option("--certificate-lifetime,--ca-validity", lifetime, "of workloads, when they do not ask: 2m, 24h")
      ->capture_default_str();
  app.add_option("--longest-lifetime", longest, "what workloads may ask for at most; else 24h");
  app.add_option("--node-account", options.node_accounts,
                 "ns/serviceaccount of node agents, which may ask for the pods of their node; may be repeated")
      ->capture_default_str();
  app.add_option("--token-keys", options.token_keys, "with --manifests: JWKS file of the tokens' issuer, followed while running");
  app.add_option("--token-issuer", options.token_issuer, "what tokens must say as their issuer")->capture_default_str();
  app.add_option("--token-audience", options.token_audience, "what tokens must be for")->capture_default_str();
  app.add_option("--cluster", options.cluster, "what callers may call this cluster in clusterid")->capture_default_str();
  app.add_option("--node-taint", taint,
                 "behind an API server: taint weft.mesh/agent-not-ready of nodes: remove (from nodes that capture), manage "
                 "(and put it back when they do not any more), off")
      ->capture_default_str()
      ->check(CLI::IsMember({"off", "remove", "manage"}));
  app.add_option("--cluster-domain", common.cluster_domain)->capture_default_str();
  app.add_option("--trust-domain", common.trust_domain)->capture_default_str();
  app.add_option("--log-level", common.log_level, "trace, debug, info, warn, error, off")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (const std::string what = missing(options); !what.empty()) wrong(what);
  const auto address = base::SocketAddress::parse(listen);
  if (!address) wrong("--ca-listen: " + base::describe(address.error()));
  options.listen = *address;
  options.node_taint = *nodes::parse_taint_mode(taint);
  take_lifetimes(lifetime, longest, options);
  return options;
}

}  // namespace weft::agent
