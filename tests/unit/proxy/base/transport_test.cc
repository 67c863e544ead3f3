#include "userspace-proxy/base/transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

namespace weft::base {
namespace {

// Reads to the bottom on every edge, as every user of a transport does.
struct Reader final : TransportHandler {
  explicit Reader(Transport& t) : transport(t) {}
  void on_readable() override {
    std::array<char, 64> block;
    for (;;) {
      const Io io = transport.read(block);
      if (io.kind == Io::Kind::kBytes) {
        got.append(block.data(), io.bytes);
        continue;
      }
      ended |= io.kind == Io::Kind::kEnd;
      return;
    }
  }
  void on_writable() override {}
  Transport& transport;
  std::string got;
  bool ended = false;
};

struct TransportTest : testing::Test, TurnEndHandler {
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer = Fd(fds[1]);
    transport = std::make_unique<TcpTransport>(Fd(fds[0]));
    loop = *Loop::create(clock);
  }
  void on_turn_end() override { ++turn_ends; }
  void send(std::string_view text) {
    ASSERT_EQ(::send(peer.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  SystemClock clock;
  std::unique_ptr<Loop> loop;
  Fd peer;
  std::unique_ptr<TcpTransport> transport;
  int turn_ends = 0;
};

TEST_F(TransportTest, bytes_that_follow_a_short_read_bring_a_new_edge) {
  Reader reader(*transport);
  ASSERT_TRUE(transport->attach(*loop, &reader));
  send("one");
  loop->turn(1000);
  EXPECT_EQ(reader.got, "one");
  std::array<char, 8> block;
  EXPECT_EQ(transport->read(block).kind, Io::Kind::kWouldBlock);
  send("two");
  loop->turn(1000);
  EXPECT_EQ(reader.got, "onetwo");
}

TEST_F(TransportTest, an_end_that_arrives_together_with_the_last_bytes_is_seen) {
  Reader reader(*transport);
  ASSERT_TRUE(transport->attach(*loop, &reader));
  send("last");
  shutdown(peer.get(), SHUT_WR);
  loop->turn(1000);
  EXPECT_EQ(reader.got, "last");
  EXPECT_TRUE(reader.ended);
}

TEST_F(TransportTest, an_end_that_arrives_after_a_short_read_is_seen) {
  Reader reader(*transport);
  ASSERT_TRUE(transport->attach(*loop, &reader));
  send("last");
  loop->turn(1000);
  EXPECT_FALSE(reader.ended);
  peer.reset();
  loop->turn(1000);
  EXPECT_TRUE(reader.ended);
}

TEST_F(TransportTest, a_turn_end_handler_is_called_once_for_the_turn_in_which_it_asked) {
  loop->at_turn_end(this);
  loop->turn(0);
  EXPECT_EQ(turn_ends, 1);
  loop->turn(0);
  EXPECT_EQ(turn_ends, 1);
}

}  // namespace
}  // namespace weft::base
