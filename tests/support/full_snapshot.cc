#include "tests/support/full_snapshot.h"

namespace weft::test {
namespace {

using model::StringMatch;

model::RouteTable full_route_table() {
  model::RouteMatch match{.name = "by-everything",
                          .uri = {{StringMatch::Kind::kPrefix, "/httpgo"}},
                          .ignore_uri_case = true,
                          .method = {{StringMatch::Kind::kExact, "GET"}},
                          .authority = {{StringMatch::Kind::kRegex, ".*\\.org"}},
                          .scheme = {{StringMatch::Kind::kExact, "http"}},
                          .headers = {{"x-user", {StringMatch::Kind::kPresent, ""}}},
                          .without_headers = {{"x-debug", {StringMatch::Kind::kExact, "1"}}},
                          .query = {{"q", {StringMatch::Kind::kRegex, "a+"}}},
                          .source_labels = {{"app", "web"}},
                          .source_namespace = "dev"};
  model::Route route{.name = "r",
                     .source = "VirtualService dev/httpgo http[0]",
                     .matches = {match},
                     .clusters = {{.cluster = 0, .weight = 90, .name = "c0"},
                                  {.cluster = model::kNone, .weight = 10, .name = "unknown \xff subset"}}};
  return {.name = "http.80",
          .hosts = {{.name = "all", .domains = {"*", "*.example.com"}, .routes = {route}}},
          .fallback_cluster = 0};
}

}  // namespace

model::Snapshot full_snapshot() {
  const auto v4 = *base::Address::parse("10.1.2.3");
  const auto v6 = *base::Address::parse("fd00::1:2");
  model::Snapshot s;
  s.version = 1ull << 40;
  s.role = model::Role::kGateway;
  s.node = "node-a";
  s.settings = {.access_log = true, .cluster_domain = "cluster.test", .trust_domain = "trust.test"};
  s.workloads = {{.name = "web-1",
                  .ns = "dev",
                  .service_account = "web",
                  .node = "node-a",
                  .owner = "web",
                  .canonical_name = "web",
                  .canonical_revision = "v1",
                  .host_ip = "192.168.0.1",
                  .addresses = {v4, v6},
                  .labels = {{"app", "web"}, {"version", "v1"}},
                  .enrolled = true,
                  .local = true,
                  .host_network = true}};
  s.services = {{.name = "httpgo",
                 .ns = "dev",
                 .hostname = "httpgo.dev.svc.cluster.local",
                 .addresses = {v4},
                 .ports = {{.port = 8888,
                            .node_port = 30080,
                            .name = "http",
                            .protocol = model::Protocol::kHttp,
                            .cluster = 0,
                            .route_table = 0}},
                 .affinity_seconds = 60,
                 .local_endpoints_only = true,
                 .headless = true}};
  s.clusters = {{.name = "outbound|8888|v1|httpgo.dev.svc.cluster.local",
                 .service = 0,
                 .service_port = 8888,
                 .subset = "v1",
                 .protocol = model::Protocol::kGrpc,
                 .endpoints = {{.address = {v4, 8080}, .workload = 0, .weight = 3},
                               {.address = {v6, 8081}, .workload = model::kNone, .weight = 0}}}};
  s.route_tables = {full_route_table()};
  s.gateway_listeners = {
      {.service_port = 80, .bind_port = 8080, .protocol = model::Protocol::kHttp2, .route_table = 0}};
  s.self = 0;
  s.local_pods = {{.workload = 0,
                   .peer_mode = model::PeerMode::kStrict,
                   .fail_mode = model::FailMode::kOpen,
                   .inbound_proxy = true,
                   .policies = {{.id = 7,
                                 .source = "AuthorizationPolicy dev/p rules[0]",
                                 .deny = true,
                                 .namespaces = {"dev"},
                                 .service_accounts = {"dev/web"},
                                 .source_ranges = {*base::Cidr::parse("10.0.0.0/8")},
                                 .ports = {80, 443}}}}};
  return s;
}

bool same(const model::Snapshot& a, const model::Snapshot& b) {
  return a.version == b.version && a.role == b.role && a.node == b.node && a.settings == b.settings &&
         a.workloads == b.workloads && a.services == b.services && a.clusters == b.clusters &&
         a.route_tables == b.route_tables && a.gateway_listeners == b.gateway_listeners && a.self == b.self &&
         a.local_pods == b.local_pods;
}

}  // namespace weft::test
