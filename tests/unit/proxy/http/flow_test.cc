// Back-pressure with bounded memory, and tunnels.
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

struct FlowTest : Rig {
  // Lets `from` send as much as the proxy takes, in pieces, until nothing more moves. Returns the bytes
  // taken.
  size_t pour(test::PairEnd& from, size_t total) {
    size_t sent = 0;
    while (sent < total) {
      const size_t piece = std::min<size_t>(16'384, total - sent);
      if (from.unread() + piece > test::Faults{}.room) {
        turn();
        if (from.unread() + piece > test::Faults{}.room) break;
      }
      from.send(std::string(piece, 'x'));
      sent += piece;
    }
    turn();
    return sent - from.unread();
  }
};

constexpr size_t kHuge = 50u << 20;

TEST_F(FlowTest, a_slow_client_stops_the_destination_and_memory_stays_bounded) {
  auto& client = connect_client();
  say(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
  auto& server = accept(1001);
  server.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kHuge) + "\r\n\r\n");
  const size_t taken = pour(server, kHuge);
  const size_t arrived = client.take().size();
  EXPECT_GT(taken, 0u);
  EXPECT_LE(taken - std::min(taken, arrived), 2 * limits.read_block) << "held by the proxy";
  EXPECT_LT(taken, 1u << 20) << "the destination is not read on";
  // The client wakes up: everything comes.
  size_t total = arrived, left = kHuge - taken - server.unread();
  while (left > 0 || server.unread() > 0) {
    const size_t piece = std::min<size_t>(left, 16'384);
    if (piece > 0 && server.unread() < 100'000) {
      server.send(std::string(piece, 'x'));
      left -= piece;
    }
    turn();
    total += client.take().size();
  }
  turn();
  total += client.take().size();
  EXPECT_GT(total, kHuge);
  EXPECT_TRUE(has(logged(), " " + std::to_string(kHuge) + " "));
}

TEST_F(FlowTest, a_slow_destination_stops_the_client_and_memory_stays_bounded) {
  auto& client = connect_client();
  say(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: " + std::to_string(kHuge) + "\r\n\r\n");
  auto& server = accept(1001);
  server.take();
  size_t taken = pour(client, kHuge);
  const size_t arrived = server.take().size();
  EXPECT_LE(taken - std::min(taken, arrived), 2 * limits.read_block) << "held by the proxy";
  EXPECT_LT(taken, 1u << 20);
  turn();
  taken = pour(client, 100'000);
  EXPECT_GT(taken + server.take().size(), 0u) << "it goes on when the destination reads";
}

TEST_F(FlowTest, a_slow_client_that_goes_away_frees_everything) {
  auto& client = connect_client();
  say(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
  auto& server = accept(1001);
  server.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kHuge) + "\r\n\r\n");
  pour(server, kHuge);
  server.take();
  client.reset();
  turn();
  EXPECT_TRUE(connections.empty());
  EXPECT_TRUE(server.was_reset() || server.at_end());
  EXPECT_TRUE(has(logged(), " 200 DC "));
}

struct TunnelTest : FlowTest {
  void open() {
    client = &connect_client();
    say(*client,
        "GET /chat HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        "k\r\n\r\n");
    server = &accept(1001);
    request = server->take();
  }
  void agree() {
    say(*server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    response = client->take();
  }
  test::PairEnd* client = nullptr;
  test::PairEnd* server = nullptr;
  std::string request, response;
};

TEST_F(TunnelTest, a_websocket_becomes_a_tunnel_with_half_close) {
  open();
  EXPECT_TRUE(has(request, "connection: Upgrade\r\nupgrade: websocket\r\n")) << request;
  EXPECT_TRUE(has(request, "Sec-WebSocket-Key: k\r\n"));
  agree();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << response;
  EXPECT_TRUE(has(response, "connection: Upgrade\r\nupgrade: websocket\r\n\r\n")) << response;
  say(*client, "\x81\x05hello");
  EXPECT_EQ(server->take(), "\x81\x05hello");
  say(*server, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client->take(), "GET / HTTP/1.1\r\n\r\n") << "nobody parses what is inside";
  client->shutdown_write();
  turn();
  EXPECT_TRUE(server->at_end());
  say(*server, "more");
  EXPECT_EQ(client->take(), "more") << "the other direction goes on";
  server->shutdown_write();
  turn();
  EXPECT_TRUE(client->at_end());
  EXPECT_TRUE(connections.empty());
  EXPECT_TRUE(has(logged(), "\"GET /chat HTTP/1.1\" 101 - via_upstream"));
}

TEST_F(TunnelTest, bytes_behind_either_head_are_part_of_the_tunnel) {
  client = &connect_client();
  say(*client, "GET /chat HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  server = &accept(1001);
  EXPECT_TRUE(server->take().ends_with("\r\n\r\n")) << "not before the destination agreed";
  say(*server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
  EXPECT_TRUE(client->take().ends_with("\r\n\r\nhello"));
  EXPECT_EQ(server->take(), "early");
}

TEST_F(TunnelTest, a_declined_upgrade_is_an_ordinary_answer) {
  open();
  say(*server, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_TRUE(client->take().ends_with("\r\n\r\nno"));
  say(*client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
  EXPECT_TRUE(has(server->take(), "GET / HTTP/1.1"));
}

TEST_F(TunnelTest, a_reset_passes_through) {
  open();
  agree();
  server->reset();
  turn();
  EXPECT_TRUE(client->was_reset());
  EXPECT_TRUE(connections.empty());
}

TEST_F(TunnelTest, a_tunnel_has_back_pressure_too) {
  open();
  agree();
  const size_t taken = pour(*client, kHuge);
  EXPECT_LE(taken - std::min(taken, server->take().size()), 2 * limits.read_block);
}

TEST_F(TunnelTest, other_upgrades_are_not_passed_on_and_the_request_is_served) {
  client = &connect_client();
  say(*client, "GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n");
  server = &accept(1001);
  EXPECT_FALSE(has(server->take(), "pgrade"));
  say(*server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(has(client->take(), "200 OK"));
}

}  // namespace
}  // namespace weft::http
