// kubeconfig files (client-go tools/clientcmd/api/v1). Unknown fields are passed over, as kubectl does,
// except those that would change how the server is trusted or who we are.
#include <fmt/format.h>

#include "agent/kube/config.h"
#include "agent/objects/node.h"
#include "agent/parse/base64.h"
#include "agent/parse/yaml.h"

namespace weft::kube {
namespace {

using base::ErrorKind;
using objects::Node;

constexpr size_t kMaxPem = 1u << 20;

class Reader {
 public:
  Reader(const Node& root, const std::string& path) : root_(root), path_(path) {}

  base::Result<Config> read(std::string_view wanted) {
    const std::string context_name(wanted.empty() ? root_.at({"current-context"}).as_string() : wanted);
    if (context_name.empty()) return refuse("there is no current-context, and none was asked for");
    TRY_ASSIGN(const Node* context, named("contexts", "context", context_name));
    Config config;
    config.origin = fmt::format("{} (context {})", path_, context_name);
    if (const std::string& ns = context->at({"namespace"}).as_string(); !ns.empty()) config.ns = ns;
    TRY_ASSIGN(const Node* cluster, named("clusters", "cluster", context->at({"cluster"}).as_string()));
    TRY(read_cluster(*cluster, config));
    // A context without a user is anonymous; kubectl admits it.
    if (const std::string& name = context->at({"user"}).as_string(); !name.empty()) {
      TRY_ASSIGN(const Node* user, named("users", "user", name));
      TRY(read_user(*user, config));
    }
    return config;
  }

 private:
  [[nodiscard]] std::unexpected<base::Error> refuse(std::string_view what) const {
    return base::fail(ErrorKind::kInvalid, fmt::format("kubeconfig {}: {}", path_, what));
  }
  [[nodiscard]] std::unexpected<base::Error> unsupported(std::string_view what) const {
    return base::fail(ErrorKind::kUnsupported, fmt::format("kubeconfig {}: {}", path_, what));
  }

  // "clusters: [{name: x, cluster: {...}}]" -> {...} of the first x
  base::Result<const Node*> named(std::string_view list, std::string_view field,
                                  std::string_view name) const {
    for (const Node& item : root_.at({list}).items())
      if (item.at({"name"}).as_string() == name) return &item.at({field});
    return refuse(fmt::format("no {} named \"{}\"", list, name));
  }

  base::Status read_cluster(const Node& cluster, Config& config) {
    config.server = cluster.at({"server"}).as_string();
    while (config.server.ends_with('/')) config.server.pop_back();
    if (config.server.empty()) return refuse("the cluster has no server");
    if (config.server.starts_with("http://"))
      return unsupported("the server is http://; weft speaks to an API server over TLS only");
    if (!config.server.starts_with("https://"))
      return refuse(fmt::format("the server \"{}\" is no https:// address", config.server));
    if (cluster.at({"insecure-skip-tls-verify"}).as_bool())
      return unsupported("insecure-skip-tls-verify is not followed; give certificate-authority instead");
    if (!cluster.at({"proxy-url"}).as_string().empty())
      return unsupported("proxy-url is not followed; set HTTPS_PROXY instead");
    config.tls_server_name = cluster.at({"tls-server-name"}).as_string();
    TRY_ASSIGN(config.authority, pem(cluster, "certificate-authority"));
    return {};
  }

  base::Status read_user(const Node& user, Config& config) {
    if (user.find("exec"))
      return unsupported(
          "the user is an exec plugin, which weft does not run; use a token, a tokenFile or a client "
          "certificate");
    if (user.find("auth-provider"))
      return unsupported(
          "the user is an auth-provider, which weft does not know; use a token, a tokenFile or a client "
          "certificate");
    if (user.find("username") || user.find("password"))
      return unsupported("the user has a password; no API server takes one since Kubernetes 1.19");
    for (const char* field : {"as", "as-uid", "as-groups", "as-user-extra"})
      if (user.find(field)) return unsupported(fmt::format("impersonation ({}) is not followed", field));
    TRY_ASSIGN(config.certificate, pem(user, "client-certificate"));
    TRY_ASSIGN(config.key, pem(user, "client-key"));
    if (config.certificate.empty() != config.key.empty())
      return refuse("client-certificate and client-key go together; one of them is missing");
    config.token = user.at({"token"}).as_string();
    if (config.token.find_first_of(" \t\r\n") != std::string::npos)
      return refuse("the token has spaces in it");
    config.token_file = beside(user.at({"tokenFile"}).as_string());
    return {};
  }

  // "<field>-data" in base64, which wins as with kubectl, or "<field>", a path.
  base::Result<Pem> pem(const Node& holder, const std::string& field) const {
    const std::string& data = holder.at({field + "-data"}).as_string();
    if (data.empty()) return Pem{.data = {}, .file = beside(holder.at({field}).as_string())};
    std::string packed;
    for (const char c : data)
      if (c != '\n' && c != '\r' && c != ' ') packed += c;
    if (packed.size() > kMaxPem) return refuse(field + "-data is too long");
    auto out = parse::decode_base64(packed, parse::Base64::kPlain);
    if (!out) return refuse(field + "-data is no base64");
    if (!out->contains("-----BEGIN ")) return refuse(field + "-data holds no PEM");
    return Pem{.data = *std::move(out), .file = {}};
  }

  [[nodiscard]] std::string beside(const std::string& path) const {
    if (path.empty() || path.starts_with('/')) return path;
    const size_t slash = path_.rfind('/');
    return slash == std::string::npos ? path : path_.substr(0, slash + 1) + path;
  }

  const Node& root_;
  const std::string& path_;
};

}  // namespace

base::Result<Config> parse_kubeconfig(std::string_view text, const std::string& path,
                                      std::string_view context) {
  const auto read =
      parse::read_yaml(text, path, {.bytes = 1u << 20, .nodes = 100'000, .depth = 30, .aliases = 100});
  if (!read.findings.empty())
    return base::fail(ErrorKind::kInvalid, "kubeconfig " + objects::to_string(read.findings[0]));
  if (read.documents.size() != 1 || !read.documents[0].root.is_mapping())
    return base::fail(
        ErrorKind::kInvalid,
        fmt::format("{} is no kubeconfig: one document with clusters, users and contexts is expected", path));
  return Reader(read.documents[0].root, path).read(context);
}

}  // namespace weft::kube
