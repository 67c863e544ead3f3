#include "tests/support/full_snapshot.h"
#include "tests/support/policy_builders.h"

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

std::vector<model::PolicyRule> full_policy_rules() {
  model::PolicyMatch match{.principals = patterns({"trust.test/ns/dev/sa/web", "trust.test/ns/dev/*"}),
                           .not_principals = patterns({"*/sa/guest"}),
                           .namespaces = patterns({"*"}),
                           .not_namespaces = patterns({"prod"}),
                           .service_accounts = {"dev/web"},
                           .not_service_accounts = {"dev/guest"},
                           .source_ranges = ranges({"10.0.0.0/8"}),
                           .not_source_ranges = ranges({"10.1.0.0/16"}),
                           .destination_ranges = ranges({"10.1.2.3/32"}),
                           .not_destination_ranges = ranges({"fd00::/64"}),
                           .ports = {80, 443},
                           .not_ports = {22}};
  return {{.id = 7,
           .source = "AuthorizationPolicy dev/p rules[0]",
           .deny = true,
           .dry_run = true,
           .clauses = {{match, {.ports = {81}}}, {}}},
          {.id = 8, .source = "AuthorizationPolicy dev/q rules[0]"}};
}

// Does not compile when the model has a field more or less: set it below, carry it in the codec, then count
// it here.
[[maybe_unused]] void count_fields(const model::Snapshot& s) {
  [[maybe_unused]] const auto& [w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, w16] =
      s.workloads[0];
  [[maybe_unused]] const auto& [s1, s2, s3, s4, s5, s6, s7, s8] = s.services[0];
  [[maybe_unused]] const auto& [p1, p2, p3, p4, p5, p6] = s.services[0].ports[0];
  [[maybe_unused]] const auto& [c1, c2, c3, c4, c5, c6] = s.clusters[0];
  [[maybe_unused]] const auto& [e1, e2, e3] = s.clusters[0].endpoints[0];
  [[maybe_unused]] const auto& [t1, t2, t3] = s.route_tables[0];
  [[maybe_unused]] const auto& [v1, v2, v3] = s.route_tables[0].hosts[0];
  [[maybe_unused]] const auto& [r1, r2, r3, r4] = s.route_tables[0].hosts[0].routes[0];
  [[maybe_unused]] const auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11] =
      s.route_tables[0].hosts[0].routes[0].matches[0];
  [[maybe_unused]] const auto& [x1, x2, x3] = s.route_tables[0].hosts[0].routes[0].clusters[0];
  [[maybe_unused]] const auto& [g1, g2, g3, g4] = s.gateway_listeners[0];
  [[maybe_unused]] const auto& [l1, l2, l3, l4, l5, l6, l7, l8, l9] = s.local_pods[0];
  [[maybe_unused]] const auto& [b1, b2, b3] = s.local_pods[0].port_modes[0];
  [[maybe_unused]] const auto& [q1, q2, q3, q4, q5] = s.policy_rules[0];
  [[maybe_unused]] const auto& [k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12] = s.policy_rules[0].clauses[0][0];
  [[maybe_unused]] const auto& [n1, n2] = s.policy_rules[0].clauses[0][0].principals[0];
  [[maybe_unused]] const auto& [o1, o2, o3, o4] = s.settings;
  [[maybe_unused]] const auto& [a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12] = s;
}

}  // namespace

model::Snapshot full_snapshot() {
  const auto v4 = *base::Address::parse("10.1.2.3");
  const auto v6 = *base::Address::parse("fd00::1:2");
  model::Snapshot s;
  s.version = 1ull << 40;
  s.role = model::Role::kGateway;
  s.node = "node-a";
  s.settings = {.access_log = true, .cluster_domain = "cluster.test", .trust_domain = "trust.test", .mutual_tls = true};
  s.workloads = {{.name = "web-1",
                  .ns = "dev",
                  .service_account = "web",
                  .node = "node-a",
                  .uid = "0b1c",
                  .owner = "web",
                  .canonical_name = "web",
                  .canonical_revision = "v1",
                  .host_ip = "192.168.0.1",
                  .addresses = {v4, v6},
                  .labels = {{"app", "web"}, {"version", "v1"}},
                  .enrolled = true,
                  .local = true,
                  .host_network = true,
                  .same_node_tls = true,
                  .excluded_ports = {3306, 8080}}};
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
                   .peer_mode_source = "PeerAuthentication dev/default",
                   .port_modes = {{.port = 8080,
                                   .mode = model::PeerMode::kStrict,
                                   .source = "PeerAuthentication dev/web portLevelMtls[8080]"}},
                   .fail_mode = model::FailMode::kOpen,
                   .inbound_proxy = true,
                   .rules = {1, 0}}};
  s.policy_rules = full_policy_rules();
  return s;
}

bool same(const model::Snapshot& a, const model::Snapshot& b) {
  return a.version == b.version && a.role == b.role && a.node == b.node && a.settings == b.settings &&
         a.workloads == b.workloads && a.services == b.services && a.clusters == b.clusters &&
         a.route_tables == b.route_tables && a.gateway_listeners == b.gateway_listeners && a.self == b.self &&
         a.local_pods == b.local_pods && a.policy_rules == b.policy_rules;
}

}  // namespace weft::test
