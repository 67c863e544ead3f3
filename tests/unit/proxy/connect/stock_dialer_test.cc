#include "userspace-proxy/connect/stock_dialer.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>

namespace weft::connect {
namespace {

using base::SocketAddress;

base::Fd tcp() {
  return base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// A loopback port; one that is not open is bound only, so that it refuses.
struct Port {
  explicit Port(bool open = true) : fd(tcp()) {
    sockaddr_storage storage{};
    const socklen_t length = SocketAddress::parse("127.0.0.1:0")->to_sockaddr(&storage);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
    address = *base::local_address(fd.get());
    EXPECT_EQ(open ? ::listen(fd.get(), 8) : 0, 0);
  }
  base::Fd fd;
  SocketAddress address;
};

struct StockDialerTest : testing::Test, DialHandler, StockReports {
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override {
    ++answers;
    dial.reset();  // allowed in here
    if (outcome) transport = std::move(*outcome);
    if (!outcome) error = outcome.error();
  }
  void on_stock_changes(std::vector<StockChange> changes) override {
    for (auto& change : changes) reported.push_back(change);
  }
  void stock(size_t count, model::StockKind kind = model::StockKind::kOutbound) {
    std::vector<base::Fd> sockets;
    for (size_t i = 0; i < count; ++i) sockets.push_back(tcp());
    dialer.add_stock({.pod = key.pod, .kind = kind, .family = key.family}, std::move(sockets));
  }
  void begin(const SocketAddress& to, const char* pod = "dev/web") {
    dial = dialer.dial({.pod = pod, .destination = to}, *this);
    EXPECT_EQ(answers, 0) << "never from inside dial()";
  }
  void run(base::Nanos limit = base::Millis(3000)) {
    const auto end = clock.now() + limit;
    while (answers == 0 && clock.now() < end) loop->turn(20);
    loop->turn(0);
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  observe::Counters counters;
  static constexpr uint32_t kSeed = 11;
  StockDialer dialer{*loop, counters, *this, PortWalk(kSeed)};
  const model::StockKey key{
      .pod = {"dev/web", 7}, .kind = model::StockKind::kOutbound, .family = model::Family::kV4};
  std::unique_ptr<Dial> dial;
  std::unique_ptr<base::Transport> transport;
  base::Error error;
  int answers = 0;
  std::vector<StockChange> reported;
};

TEST_F(StockDialerTest, connects_with_a_stocked_socket) {
  Port port;
  stock(1);
  begin(port.address);
  run();
  ASSERT_NE(transport, nullptr) << error.what;
  EXPECT_EQ(base::peer_address(transport->raw_fd())->to_string(), port.address.to_string());
  EXPECT_EQ(counters.dials, 1u);
  EXPECT_EQ(counters.stock_waits, 0u);
}

TEST(PortWalkTest, uses_every_port_once_before_any_twice) {
  PortWalk ports;
  std::set<uint16_t> seen;
  for (uint32_t i = 0; i < PortWalk::kCount; ++i) seen.insert(ports.next());
  EXPECT_EQ(seen.size(), PortWalk::kCount);
  EXPECT_EQ(*seen.begin(), 1024);
  EXPECT_EQ(*seen.rbegin(), 32767);
}

TEST_F(StockDialerTest, a_dial_in_a_clients_name_whose_port_is_taken_waits_for_another_socket) {
  Port port;
  const SocketAddress client = *SocketAddress::parse("127.0.0.1:0");
  const base::Fd occupant = tcp();
  const int on = 1;
  setsockopt(occupant.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  socklen_t length = SocketAddress{client.address, PortWalk(kSeed).next()}.to_sockaddr(&storage);
  ASSERT_EQ(::bind(occupant.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  length = port.address.to_sockaddr(&storage);
  ::connect(occupant.get(), reinterpret_cast<sockaddr*>(&storage), length);

  stock(1, model::StockKind::kInbound);
  dial = dialer.dial({.pod = "dev/web", .destination = port.address, .client = client}, *this);
  for (int turn = 0; turn < 5; ++turn) loop->turn(10);
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(counters.stock_waits, 1u);
  stock(1, model::StockKind::kInbound);
  run();
  ASSERT_NE(transport, nullptr) << error.what;
  EXPECT_EQ(base::local_address(transport->raw_fd())->address, client.address);
  EXPECT_EQ(counters.dial_failed, 0u);
}

TEST_F(StockDialerTest, a_gateway_dials_from_its_own_network_without_stock) {
  Port port;
  begin(port.address, "");
  run();
  EXPECT_NE(transport, nullptr) << error.what;
}

TEST_F(StockDialerTest, a_dead_port_is_the_destinations_refusal) {
  Port dead(false);
  stock(1);
  begin(dead.address);
  run();
  EXPECT_EQ(transport, nullptr);
  EXPECT_EQ(error.sys_errno, ECONNREFUSED);
  EXPECT_EQ(error.side, base::Side::kDestination);
  EXPECT_EQ(counters.dial_refused, 1u);
  EXPECT_EQ(answers, 1);
}

TEST_F(StockDialerTest, a_dial_without_stock_waits_for_the_next_delivery) {
  Port port;
  begin(port.address);
  loop->turn(0);
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(counters.stock_waits, 1u);
  stock(1);
  run();
  EXPECT_NE(transport, nullptr) << error.what;
  EXPECT_EQ(counters.stock_exhausted, 0u);
}

TEST_F(StockDialerTest, a_dial_that_never_gets_a_socket_is_given_up_and_counted) {
  Port port;
  begin(port.address);
  run(StockDialer::kStockWait + base::Millis(1000));
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(error.kind, base::ErrorKind::kLimit);
  EXPECT_EQ(error.side, base::Side::kSelf);
  EXPECT_EQ(counters.stock_exhausted, 1u);
}

TEST_F(StockDialerTest, a_cancelled_dial_is_silent_waiting_or_connecting) {
  Port port;
  begin(port.address);
  dial.reset();
  stock(1);
  begin(port.address);
  dial.reset();
  for (int i = 0; i < 5; ++i) loop->turn(5);
  EXPECT_EQ(answers, 0);
}

TEST_F(StockDialerTest, arrivals_are_delivered_from_the_clients_address_but_not_its_port) {
  Port port;
  std::vector<base::Fd> sockets;
  sockets.push_back(tcp());
  dialer.add_stock({.pod = {"dev/web", 7}, .kind = model::StockKind::kInbound, .family = model::Family::kV4},
                   std::move(sockets));
  dial = dialer.dial(
      {.pod = "dev/web", .destination = port.address, .client = *SocketAddress::parse("127.0.0.9:40000")},
      *this);
  run();
  ASSERT_NE(transport, nullptr) << error.what;
  const auto local = *base::local_address(transport->raw_fd());
  EXPECT_EQ(local.address.to_string(), "127.0.0.9");
  EXPECT_LT(local.port, 32768);
}

TEST_F(StockDialerTest, a_low_stock_is_reported_at_once) {
  Port port;
  stock(4);
  EXPECT_TRUE(reported.empty());
  for (int i = 0; i < 3; ++i) {
    begin(port.address);
    run();
    answers = 0;
  }
  ASSERT_FALSE(reported.empty());
  EXPECT_EQ(reported.back().level, 1u);
  EXPECT_EQ(reported.back().taken, 3u);
}

}  // namespace
}  // namespace weft::connect
