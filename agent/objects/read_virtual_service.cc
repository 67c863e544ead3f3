// The top level of a VirtualService; its http rules are read in read_http_route.cc.
#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/istio.h"
#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/read_http_route.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

bool is_gateway_name(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_dns_subdomain(text);
  return is_dns_label(text.substr(0, slash)) && is_dns_subdomain(text.substr(slash + 1));
}

void read_gateways(const Node& spec, VirtualService& service, Report& report) {
  const Node& list = get(spec, "gateways");
  if (list.items().empty()) return;  // the default stays: mesh
  service.gateways.clear();
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& item = list.items()[i];
    if (!is_gateway_name(item.as_string()))
      report.invalid(
          item_path("spec.gateways", i), item,
          fmt::format("expected \"mesh\", a Gateway's name or namespace/name, found {}", describe(item)));
    service.gateways.push_back(item.as_string());
  }
}

void check_host(const Node& item, const std::string& path, bool in_mesh, Report& report) {
  const std::string& host = item.as_string();
  if (base::Address::parse(host)) {
    if (in_mesh)
      report.invalid(path, item, "an IP address as host needs a gateway and no \"mesh\" in gateways");
    return;
  }
  if (!is_wildcard_host(host)) {
    report.invalid(path, item,
                   fmt::format("expected a host, where \"*\" may only be the whole left-most label, found {}",
                               describe(item)));
    return;
  }
  if (host == "*" && in_mesh)
    report.invalid(
        path, item,
        "the host \"*\" cannot be bound to \"mesh\"; name the hosts, or name a gateway in gateways");
}

void read_hosts(const Node& spec, VirtualService& service, Report& report) {
  const Node& list = get(spec, "hosts");
  const bool in_mesh = std::ranges::find(service.gateways, "mesh") != service.gateways.end();
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& item = list.items()[i];
    const std::string path = item_path("spec.hosts", i);
    check_host(item, path, in_mesh, report);
    const std::string host = lower_case(item.as_string());
    for (const std::string& other : service.hosts) {
      const std::string earlier = lower_case(other);
      if (host_covers(earlier, host) || host_covers(host, earlier))
        report.invalid(path, item, fmt::format("the host overlaps with \"{}\" in the same list", other));
    }
    service.hosts.push_back(item.as_string());
  }
}

void check_delegate(const Node& spec, const VirtualService& service, Report& report) {
  if (has(spec, "gateways") || service.has_tls || service.has_tcp) {
    report.error("MissingField", "spec", spec.mark(), "the field \"hosts\" is missing, a list is expected");
    return;
  }
  report.warn(
      "UnsupportedValue", "spec", spec.mark(),
      "a VirtualService without hosts is a delegate, which weft does not support yet: it has no effect");
}

}  // namespace

std::shared_ptr<Object> read_virtual_service(const Node& root, Report& report) {
  auto service = std::make_shared<VirtualService>();
  const Node& spec = get(root, "spec");
  service->has_tls = !get(spec, "tls").items().empty();
  service->has_tcp = !get(spec, "tcp").items().empty();
  read_gateways(spec, *service, report);
  read_hosts(spec, *service, report);
  if (service->hosts.empty()) check_delegate(spec, *service, report);
  const Node& http = get(spec, "http");
  for (size_t i = 0; i < http.items().size(); ++i)
    service->http.push_back(read_http_route(http.items()[i], item_path("spec.http", i), report));
  if (service->http.empty() && !service->has_tls && !service->has_tcp)
    report.error("MissingField", "spec", spec.mark(), "expected at least one rule in http, tls or tcp");
  service->export_to = read_export_to(spec, report);
  return service;
}

}  // namespace weft::objects
