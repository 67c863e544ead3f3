#include "agent/enrol/gateway_sockets.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/support/enrol_fakes.h"
#include "userspace-proxy/base/address.h"

namespace weft::enrol {
namespace {

// On loopback, where nobody else's ports are touched.
struct GatewaySocketsTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    sockets = *GatewaySockets::create(*loop, outlet);
    const base::Fd probe(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_storage address{};
    const socklen_t length = base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), 0}.to_sockaddr(&address);
    ASSERT_EQ(bind(probe.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    port = base::local_address(probe.get())->port;
  }
  model::Snapshot gateway(std::vector<uint16_t> ports) {
    model::Snapshot snapshot;
    snapshot.role = model::Role::kGateway;
    snapshot.workloads = {
        {.name = "gw", .ns = "istio-system", .addresses = {base::Address::v4(INADDR_LOOPBACK)}}};
    snapshot.self = 0;
    for (const uint16_t one : ports)
      snapshot.gateway_listeners.push_back({.service_port = 80, .bind_port = one});
    return snapshot;
  }
  base::Status connect_to(uint16_t to) {
    const base::Fd client(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_storage address{};
    const socklen_t length =
        base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), to}.to_sockaddr(&address);
    if (connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
      return base::fail_errno("connect");
    return {};
  }

  base::SystemClock clock;
  test::FakeOutlet outlet;
  std::unique_ptr<base::Loop> loop;
  std::unique_ptr<GatewaySockets> sockets;
  uint16_t port = 0;
};

TEST_F(GatewaySocketsTest, a_listener_opens_and_closes_with_the_gateways_port) {
  sockets->apply(gateway({port}));
  ASSERT_EQ(outlet.listeners.size(), 1u);
  const model::ListenerKey key = outlet.listeners.begin()->first;
  EXPECT_EQ(key.pod.name, "istio-system/gw");
  EXPECT_NE(key.pod.netns_cookie, 0u);
  EXPECT_EQ(key.kind, model::ListenerKind::kGateway);
  EXPECT_EQ(key.gateway_port, port);
  EXPECT_TRUE(connect_to(port));
  sockets->apply(gateway({}));
  EXPECT_TRUE(outlet.listeners.empty());
  EXPECT_FALSE(connect_to(port));
}

TEST_F(GatewaySocketsTest, an_unchanged_port_keeps_its_socket) {
  sockets->apply(gateway({port}));
  const auto before = outlet.listeners;
  sockets->apply(gateway({port}));
  EXPECT_EQ(outlet.listeners, before);
}

TEST_F(GatewaySocketsTest, a_port_that_is_taken_is_a_problem_and_opens_once_it_is_free) {
  base::Fd other(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_storage address{};
  const socklen_t length =
      base::SocketAddress{base::Address::v4(INADDR_LOOPBACK), port}.to_sockaddr(&address);
  ASSERT_EQ(bind(other.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(other.get(), 1), 0);
  sockets->apply(gateway({port}));
  ASSERT_EQ(sockets->problems().size(), 1u);
  EXPECT_NE(sockets->problems().begin()->second.find("Address already in use"), std::string::npos);
  other.reset();
  for (int i = 0; i < 200 && outlet.listeners.empty(); ++i) loop->turn(10);
  EXPECT_EQ(outlet.listeners.size(), 1u);
  EXPECT_TRUE(sockets->problems().empty());
}

TEST_F(GatewaySocketsTest, the_proxy_gets_outbound_stock_only) {
  sockets->apply(gateway({}));
  sockets->on_proxy_ready(1);
  loop->turn(10);
  ASSERT_EQ(outlet.stock.size(), 1u);
  EXPECT_EQ(outlet.stock.begin()->first.kind, model::StockKind::kOutbound);
  EXPECT_EQ(outlet.stock.begin()->second, StockPlan::kFirst);
}

TEST_F(GatewaySocketsTest, nothing_is_opened_before_its_own_pod_is_known) {
  model::Snapshot snapshot = gateway({port});
  snapshot.self = model::kNone;
  sockets->apply(snapshot);
  EXPECT_TRUE(outlet.listeners.empty());
}

}  // namespace
}  // namespace weft::enrol
