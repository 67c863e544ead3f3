#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/objects/istio.h"
#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr std::string_view kProtocols[] = {"HTTP",  "HTTPS", "GRPC", "GRPC-WEB", "HTTP2",
                                           "MONGO", "TCP",   "TLS",  "REDIS",    "MYSQL"};

bool is_served(std::string_view protocol) {
  return protocol == "HTTP" || protocol == "HTTP2" || protocol == "GRPC" || protocol == "GRPC-WEB";
}

void read_port(const Node& node, const std::string& path, GatewayServer& server, Report& report) {
  const Node& protocol = get(node, "protocol");
  server.port = static_cast<uint16_t>(number(node, "number"));
  server.port_name = text(node, "name");
  server.protocol = protocol.as_string();
  std::ranges::transform(server.protocol, server.protocol.begin(),
                         [](unsigned char c) { return std::toupper(c); });
  if (server.port_name.empty()) report.invalid(path + ".name", get(node, "name"), "expected a name");
  if (has(node, "targetPort"))
    report.invalid(path + ".targetPort", get(node, "targetPort"),
                   "the API deprecates and refuses this field");
  if (std::ranges::find(kProtocols, server.protocol) == std::end(kProtocols)) {
    report.invalid(path + ".protocol", protocol,
                   fmt::format("expected HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS, found {}",
                               describe(protocol)));
    return;
  }
  if (is_served(server.protocol)) return;
  server.unsupported = true;
  report.unsupported_value(
      path + ".protocol", protocol,
      fmt::format("weft's gateway does not serve {} yet, the port stays closed", server.protocol));
}

// "[ns/]dnsName"; ns is "*", "." or a name.
bool is_server_host(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_wildcard_host(text);
  const std::string_view ns = text.substr(0, slash);
  return (ns == "*" || ns == "." || is_dns_label(ns)) && is_wildcard_host(text.substr(slash + 1));
}

void read_hosts(const Node& node, const std::string& path, GatewayServer& server, Report& report) {
  const Node& hosts = get(node, "hosts");
  if (hosts.items().empty()) report.invalid(path, hosts, "expected at least one host");
  for (size_t i = 0; i < hosts.items().size(); ++i) {
    const Node& item = hosts.items()[i];
    if (!is_server_host(item.as_string()))
      report.invalid(
          item_path(path, i), item,
          fmt::format(
              "expected [namespace/]host, where \"*\" may only be the whole left-most label, found {}",
              describe(item)));
    server.hosts.push_back(item.as_string());
  }
}

void read_tls(const Node& node, const std::string& path, GatewayServer& server, Report& report) {
  const Node& tls = get(node, "tls");
  const bool encrypted = server.protocol == "HTTPS" || server.protocol == "TLS";
  if (tls.is_null()) {
    if (encrypted)
      report.error("MissingField", path, node.mark(),
                   fmt::format("the field \"tls\" is missing, protocol {} needs it", server.protocol));
    return;
  }
  server.https_redirect = flag(tls, "httpsRedirect");
  server.tls_mode = encrypted ? text(tls, "mode", "PASSTHROUGH") : "";
  const bool only_redirect =
      std::ranges::all_of(tls.entries(), [](const Node::Entry& e) { return e.key == "httpsRedirect"; });
  if (is_served(server.protocol) && !only_redirect)
    report.invalid(path + ".tls", tls,
                   fmt::format("protocol {} may only carry httpsRedirect here", server.protocol));
  // Without the redirect built, an open port would serve in clear what its owner wanted to be encrypted.
  server.unsupported |= encrypted || server.https_redirect;
}

GatewayServer read_server(const Node& node, const std::string& path, Report& report) {
  GatewayServer server;
  read_port(get(node, "port"), path + ".port", server, report);
  read_hosts(node, path + ".hosts", server, report);
  read_tls(node, path, server, report);
  server.name = text(node, "name");
  server.mark = node.mark();
  // Listening wider than asked for is no way to ignore `bind`.
  server.unsupported |= !text(node, "bind").empty();
  return server;
}

}  // namespace

std::shared_ptr<Object> read_gateway(const Node& root, Report& report) {
  auto gateway = std::make_shared<Gateway>();
  const Node& spec = get(root, "spec");
  gateway->selector = read_labels(spec, "selector", "spec.selector", report);
  const Node& servers = get(spec, "servers");
  if (servers.items().empty()) report.invalid("spec.servers", servers, "expected at least one server");
  std::set<std::string> names;
  for (size_t i = 0; i < servers.items().size(); ++i) {
    const Node& node = servers.items()[i];
    const std::string path = item_path("spec.servers", i);
    gateway->servers.push_back(read_server(node, path, report));
    if (!names.insert(gateway->servers.back().port_name).second)
      report.invalid(path + ".port.name", node.at({"port", "name"}),
                     fmt::format("the port name \"{}\" occurs twice", gateway->servers.back().port_name));
  }
  return gateway;
}

}  // namespace weft::objects
