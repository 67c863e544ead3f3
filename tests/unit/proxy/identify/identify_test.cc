#include "userspace-proxy/identify/identify.h"

#include <gtest/gtest.h>

#include <map>

namespace weft::identify {
namespace {

using listen::Kind;

base::SocketAddress at(const std::string& text) {
  return *base::SocketAddress::parse(text);
}
base::Address address(const std::string& text) {
  return *base::Address::parse(text);
}

// Node n1 with pod dev/web; service dev/api with two remote endpoints in the mesh (weights 1 and 3), a local
// one and one outside the mesh; service dev/db whose only endpoint is local; service dev/none without any.
model::Snapshot small() {
  model::Snapshot snapshot{.version = 1};
  const auto pod = [&](const char* name, const char* ip, bool enrolled, bool local) {
    model::Workload workload{.name = name, .ns = "dev"};
    workload.addresses = {address(ip)};
    workload.enrolled = enrolled;
    workload.local = local;
    snapshot.workloads.push_back(workload);
  };
  pod("web", "10.0.1.1", true, true);
  pod("api-1", "10.0.2.1", true, false);
  pod("api-2", "10.0.2.2", true, false);
  pod("api-3", "10.0.1.3", true, true);
  pod("api-4", "10.0.2.4", false, false);
  const auto service = [&](const char* name, const char* ip, uint16_t port,
                           std::vector<model::Endpoint> endpoints) {
    const auto index = static_cast<uint32_t>(snapshot.services.size());
    model::Service added{.name = name, .ns = "dev", .hostname = std::string(name) + ".dev.svc.cluster.local"};
    added.addresses = {address(ip)};
    added.ports.push_back({.port = port, .protocol = model::Protocol::kTcp, .cluster = index});
    snapshot.services.push_back(added);
    snapshot.clusters.push_back(
        {.name = name, .service = index, .service_port = port, .endpoints = std::move(endpoints)});
  };
  service("api", "10.96.0.1", 80,
          {{at("10.0.2.1:8080"), 1, 1},
           {at("10.0.2.2:8080"), 2, 3},
           {at("10.0.1.3:8080"), 3, 5},
           {at("10.0.2.4:8080"), 4, 7}});
  service("db", "fd96::2", 5432, {{at("10.0.1.3:5432"), 3, 1}});
  service("none", "10.96.0.3", 80, {});
  snapshot.local_pods = {{.workload = 0}, {.workload = 3}};
  return snapshot;
}

struct IdentifyTest : testing::Test {
  [[nodiscard]] ConnInfo name(Kind kind, const char* original, const char* peer = "10.0.1.1:4000") const {
    return identify(index, {.kind = kind, .pod = "dev/web", .original = at(original), .peer = at(peer)});
  }
  Index index{std::make_shared<const model::Snapshot>(small())};
};

TEST_F(IdentifyTest, an_outbound_connection_is_named_by_service_or_by_pod_address_or_not_at_all) {
  struct {
    const char* original;
    uint32_t service, destination;
  } const cases[] = {{"10.96.0.1:80", 0, model::kNone},
                     {"[fd96::2]:5432", 1, model::kNone},
                     {"10.96.0.1:81", model::kNone, model::kNone},  // not a port of the service
                     {"10.0.2.1:8080", model::kNone, 1},
                     {"198.51.100.1:443", model::kNone, model::kNone}};
  for (const auto& c : cases) {
    const ConnInfo info = name(Kind::kOutbound, c.original);
    EXPECT_EQ(info.service, c.service) << c.original;
    EXPECT_EQ(info.destination, c.destination) << c.original;
    EXPECT_EQ(info.source, 0u) << c.original;
    EXPECT_EQ(info.snapshot->version, 1u);
  }
}

TEST_F(IdentifyTest, who_has_proven_what_depends_on_the_way_in) {
  const model::SpiffeId web{"cluster.local", "dev", ""}, other{"cluster.local", "dev", "other"};
  EXPECT_EQ(name(Kind::kOutbound, "10.96.0.1:80").proven, web) << "only the pod reaches its own listener";
  EXPECT_FALSE(name(Kind::kInbound, "10.0.1.1:80", "10.0.1.3:4000").proven) << "an address proves nothing";
  EXPECT_EQ(name(Kind::kAttested, "10.0.1.1:80", "10.0.1.3:4000").proven, web) << "the kernel vouches";
  EXPECT_FALSE(name(Kind::kAttested, "10.0.1.1:80", "10.0.2.1:4000").proven) << "not for pods of other nodes";
  const auto arrived = [&](const model::SpiffeId& proven) {
    return identify(index, {.kind = Kind::kInbound,
                            .pod = "dev/web",
                            .original = at("10.0.1.1:80"),
                            .peer = at("10.0.2.1:4000"),
                            .proven = &proven});
  };
  EXPECT_EQ(arrived(web).proven, web);
  EXPECT_TRUE(arrived(web).tunnelled);
  EXPECT_EQ(arrived(web).source, 1u);
  EXPECT_EQ(arrived(other).proven, other);
  EXPECT_EQ(arrived(other).source, model::kNone) << "the address is not that of whoever was proven";
}

TEST_F(IdentifyTest, a_services_name_leads_to_the_pods_own_endpoint_only) {
  EXPECT_EQ(index.port_behind({"api.dev.svc.cluster.local", 80}, address("10.0.1.3")), 8080);
  EXPECT_EQ(index.port_behind({"db.dev.svc.cluster.local", 5432}, address("10.0.1.3")), 5432);
  EXPECT_EQ(index.port_behind({"api.dev.svc.cluster.local", 81}, address("10.0.1.3")), 0) << "no such port";
  EXPECT_EQ(index.port_behind({"api.dev.svc.cluster.local", 80}, address("10.0.1.1")), 0) << "no endpoint";
  EXPECT_EQ(index.port_behind({"nobody.dev.svc.cluster.local", 80}, address("10.0.1.3")), 0);
}

TEST_F(IdentifyTest, who_wants_tls_on_its_own_node_is_given_endpoints_of_its_own_node_too) {
  auto snapshot = small();
  const auto chosen = [&] {
    const Index now(std::make_shared<const model::Snapshot>(snapshot));
    const ConnInfo info = identify(
        now, {.kind = Kind::kOutbound, .pod = "dev/web", .original = at("10.96.0.1:80"), .peer = at("10.0.1.1:1")});
    std::map<std::string, int> count;
    for (uint64_t random = 0; random < 90; ++random) ++count[choose_endpoint(now, info, random)->address.to_string()];
    return count;
  };
  EXPECT_FALSE(chosen().contains("10.0.1.3:8080")) << "the kernel has served its share";
  snapshot.workloads[3].same_node_tls = true;
  EXPECT_EQ(chosen()["10.0.1.3:8080"], 50);
  snapshot.workloads[3].same_node_tls = false;
  snapshot.workloads[0].same_node_tls = true;
  EXPECT_EQ(chosen()["10.0.1.3:8080"], 50);
}

TEST_F(IdentifyTest, the_kernel_serves_its_share_of_endpoints_that_leave_their_port_out_of_the_mesh) {
  auto snapshot = small();
  snapshot.workloads[0].same_node_tls = true;
  snapshot.workloads[3].excluded_ports = {8080};
  const Index now(std::make_shared<const model::Snapshot>(snapshot));
  const ConnInfo info = identify(
      now, {.kind = Kind::kOutbound, .pod = "dev/web", .original = at("10.96.0.1:80"), .peer = at("10.0.1.1:1")});
  for (uint64_t random = 0; random < 90; ++random)
    EXPECT_NE(choose_endpoint(now, info, random)->address, at("10.0.1.3:8080"));
}

TEST_F(IdentifyTest, http_is_read_only_where_a_route_table_asks_for_it) {
  auto snapshot = small();
  snapshot.services[0].ports[0].protocol = model::Protocol::kHttp;
  const auto outbound = [&] {
    const Index now(std::make_shared<const model::Snapshot>(snapshot));
    return identify(now, {.kind = Kind::kOutbound,
                          .pod = "dev/web",
                          .original = at("10.96.0.1:80"),
                          .peer = at("10.0.1.1:1")});
  };
  EXPECT_FALSE(outbound().layer7());
  snapshot.route_tables = {{.name = "t"}};
  snapshot.services[0].ports[0].route_table = 0;
  EXPECT_TRUE(outbound().layer7());
  snapshot.services[0].ports[0].protocol = model::Protocol::kTcp;
  EXPECT_FALSE(outbound().layer7());
}

TEST_F(IdentifyTest, an_inbound_connection_names_its_pod_and_for_telemetry_its_source) {
  const ConnInfo info = name(Kind::kInbound, "10.0.1.1:9000", "10.0.2.2:51000");
  EXPECT_EQ(info.destination, 0u);
  EXPECT_EQ(info.source, 2u);
  EXPECT_EQ(info.service, model::kNone);
  EXPECT_EQ(index.service_behind(at("10.0.1.3:8080")), 0u);
  EXPECT_EQ(index.service_behind(at("10.0.2.1:8080")), model::kNone) << "not of this node";
}

TEST_F(IdentifyTest, a_tunnels_peer_is_believed_which_of_the_pods_own_services_it_addressed) {
  auto snapshot = small();
  snapshot.services[1].ports.push_back({.port = 80, .protocol = model::Protocol::kTcp, .cluster = 3});
  snapshot.clusters.push_back({.name = "db-80", .service = 1, .endpoints = {{at("10.0.1.3:8080"), 3, 1}}});
  const Index now(std::make_shared<const model::Snapshot>(snapshot));
  const auto service = [&](std::string_view claim) {
    return identify(now, {.kind = Kind::kInbound,
                          .pod = "dev/api-3",
                          .original = at("10.0.1.3:8080"),
                          .peer = at("10.0.2.2:51000"),
                          .claimed_service = claim})
        .service;
  };
  EXPECT_EQ(service(""), 0u);
  EXPECT_EQ(service("api.dev.svc.cluster.local"), 0u);
  EXPECT_EQ(service("db.dev.svc.cluster.local"), 1u);
  EXPECT_EQ(service("none.dev.svc.cluster.local"), 0u) << "not a service of this pod";
}

TEST_F(IdentifyTest, a_gateway_port_is_found_by_where_it_is_bound) {
  auto snapshot = small();
  snapshot.self = 0;
  snapshot.gateway_listeners = {
      {.service_port = 80, .bind_port = 8080, .protocol = model::Protocol::kHttp, .route_table = 0}};
  snapshot.route_tables = {{.name = "http.80"}};
  const Index now(std::make_shared<const model::Snapshot>(snapshot));
  const Arrival arrival{.kind = Kind::kGateway,
                        .pod = "istio-system/gateway",
                        .original = at("10.0.1.1:8080"),
                        .peer = at("192.0.2.7:1")};
  const ConnInfo info = identify(now, arrival);
  EXPECT_TRUE(info.layer7());
  EXPECT_EQ(info.service_port, 80);
  EXPECT_EQ(info.pod, "") << "a gateway dials from its own network";
  EXPECT_FALSE(
      identify(now, {.kind = Kind::kGateway, .original = at("10.0.1.1:9999"), .peer = at("192.0.2.7:1")})
          .layer7());
}

TEST(SelfTest, has_one_address_per_family_and_one_port) {
  EXPECT_TRUE(is_self_test(at("192.0.2.1:15021")));
  EXPECT_TRUE(is_self_test(at("[2001:db8::1]:15021")));
  EXPECT_FALSE(is_self_test(at("192.0.2.1:80")));
  EXPECT_FALSE(is_self_test(at("192.0.2.2:15021")));
}

TEST_F(IdentifyTest, what_would_come_back_to_our_own_listener_is_seen) {
  EXPECT_TRUE(would_loop(name(Kind::kOutbound, "127.0.0.1:40000")));
  EXPECT_TRUE(would_loop(name(Kind::kOutbound, "[::1]:40000", "[::1]:1")));
  EXPECT_TRUE(would_loop(name(Kind::kOutbound, "10.0.1.1:40000")));
  EXPECT_FALSE(would_loop(name(Kind::kOutbound, "10.96.0.1:80")));
  EXPECT_FALSE(would_loop(name(Kind::kInbound, "10.0.1.1:80", "10.0.1.1:5")));
}

TEST_F(IdentifyTest, a_relay_chooses_among_enrolled_remote_endpoints_by_weight) {
  const ConnInfo info = name(Kind::kOutbound, "10.96.0.1:80");
  std::map<std::string, int> hits;
  for (uint64_t random = 0; random < 400; ++random)
    ++hits[choose_endpoint(index, info, random)->address.to_string()];
  EXPECT_EQ(hits, (std::map<std::string, int>{{"10.0.2.1:8080", 100}, {"10.0.2.2:8080", 300}}));
}

TEST_F(IdentifyTest, a_service_without_enrolled_remote_endpoints_offers_all_and_an_empty_one_none) {
  EXPECT_EQ(choose_endpoint(index, name(Kind::kOutbound, "[fd96::2]:5432"), 9)->address, at("10.0.1.3:5432"));
  EXPECT_EQ(choose_endpoint(index, name(Kind::kOutbound, "10.96.0.3:80"), 9), nullptr);
}

TEST_F(IdentifyTest, a_caller_is_served_in_its_own_address_family_where_the_service_has_it) {
  auto snapshot = small();
  snapshot.services[0].addresses.push_back(at("[fd96::9]:80").address);
  snapshot.clusters[0].endpoints.push_back({at("[fd00:2::1]:8080"), 1, 1});
  const Index dual(std::make_shared<const model::Snapshot>(snapshot));
  ConnInfo v6 = name(Kind::kOutbound, "10.96.0.1:80"), v4 = v6;
  v6.original = at("[fd96::9]:80");
  for (uint64_t random = 0; random < 50; ++random) {
    EXPECT_EQ(choose_endpoint(dual, v6, random)->address, at("[fd00:2::1]:8080"));
    EXPECT_TRUE(choose_endpoint(dual, v4, random)->address.address.is_v4());
  }
}

TEST_F(IdentifyTest, affinity_keeps_a_pod_on_its_endpoint_and_moves_few_when_endpoints_change) {
  auto snapshot = small();
  snapshot.services[0].affinity_seconds = 10800;
  const Index before(std::make_shared<const model::Snapshot>(snapshot));
  snapshot.clusters[0].endpoints.push_back({at("10.0.2.9:8080"), 1, 1});
  const Index after(std::make_shared<const model::Snapshot>(snapshot));
  std::map<std::string, int> hits;
  int moved = 0;
  for (int pod = 0; pod < 1000; ++pod) {
    ConnInfo info = name(Kind::kOutbound, "10.96.0.1:80");
    info.pod = "dev/pod-" + std::to_string(pod);
    const auto* chosen = choose_endpoint(before, info, 1);
    EXPECT_EQ(chosen, choose_endpoint(before, info, 2));
    ++hits[chosen->address.to_string()];
    const auto* now = choose_endpoint(after, info, 3);
    if (now->address == chosen->address) continue;
    ++moved;
    EXPECT_EQ(now->address, at("10.0.2.9:8080")) << "only the new endpoint takes flows over";
  }
  EXPECT_NEAR(hits["10.0.2.2:8080"], 750, 60);
  EXPECT_NEAR(moved, 200, 60);
}

}  // namespace
}  // namespace weft::identify
