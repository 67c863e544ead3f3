// The relay on real loopback sockets: where bulk goes through a pipe.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "userspace-proxy/relay/relay.h"

namespace weft::relay {
namespace {

struct Ends {
  base::Fd ours, far;
};

Ends connected() {
  const base::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  socklen_t length = base::SocketAddress::parse("127.0.0.1:0")->to_sockaddr(&storage);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  length = base::local_address(listener.get())->to_sockaddr(&storage);
  Ends ends;
  ends.far.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(ends.far.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  ends.ours.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  return ends;
}

struct RelaySocketTest : testing::Test, RelayOwner {
  RelaySocketTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as main does
    auto source_ends = connected();
    auto destination_ends = connected();
    source = std::move(source_ends.far);
    destination = std::move(destination_ends.far);
    RelayOwner& owner = *this;
    relay = std::make_unique<Relay>(
        *loop, Workbench{scratch, pipes}, std::make_unique<base::TcpTransport>(std::move(source_ends.ours)),
        std::make_unique<base::TcpTransport>(std::move(destination_ends.ours)), owner);
    relay->start();
  }
  void on_relay_end(Relay&) override { ++ends; }

  // What the socket takes without waiting; returns how much that was.
  static size_t push(int fd, std::string_view bytes) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  static void pull(int fd, std::string& into) {
    char block[65536];
    for (ssize_t n; (n = ::recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0;)
      into.append(block, static_cast<size_t>(n));
  }
  void fill_until_stuck(std::string_view bytes, size_t& sent) {
    for (int still = 0; still < 20;) {
      const size_t n = push(source.get(), bytes.substr(sent, 1 << 20));
      sent += n;
      still = n == 0 ? still + 1 : 0;
      loop->turn(5);
    }
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  std::vector<char> scratch = std::vector<char>(64 * 1024);
  Pipes pipes;
  base::Fd source, destination;
  std::unique_ptr<Relay> relay;
  int ends = 0;
};

std::string pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 12));
  return bytes;
}

TEST_F(RelaySocketTest, bulk_arrives_intact_and_the_pipe_is_given_back_when_it_is_through) {
  const std::string bytes = pattern(32 << 20);
  std::string arrived;
  for (size_t sent = 0; arrived.size() < bytes.size();) {
    sent += push(source.get(), std::string_view(bytes).substr(sent, 1 << 20));
    loop->turn(5);
    pull(destination.get(), arrived);
  }
  EXPECT_TRUE(arrived == bytes);
  EXPECT_GT(pipes.uses(), 0u);
  for (int i = 0; i < 5; ++i) loop->turn(1);
  EXPECT_EQ(pipes.given_out(), 0u);
  EXPECT_EQ(relay->from_source(), bytes.size());

  EXPECT_EQ(push(destination.get(), "and small things go on"), 22u);
  std::string back;
  while (back.size() < 22) {
    loop->turn(5);
    pull(source.get(), back);
  }
  EXPECT_EQ(back, "and small things go on");
}

TEST_F(RelaySocketTest, a_reader_that_stops_stops_the_sender_and_an_end_waits_for_the_bytes_in_the_pipe) {
  const std::string bytes = pattern(64 << 20);
  size_t sent = 0;
  fill_until_stuck(bytes, sent);
  ASSERT_LT(sent, bytes.size());
  EXPECT_LE(relay->held_bytes(), scratch.size());
  ::shutdown(source.get(), SHUT_WR);
  std::string arrived;
  while (relay->step() != Step::kSourceEnded) {
    pull(destination.get(), arrived);
    loop->turn(5);
  }
  pull(destination.get(), arrived);
  EXPECT_TRUE(arrived == bytes.substr(0, sent));
}

TEST_F(RelaySocketTest, a_reset_behind_bytes_that_nobody_reads_is_passed_on_at_once) {
  const std::string bytes = pattern(64 << 20);
  size_t sent = 0;
  fill_until_stuck(bytes, sent);
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(source.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  source.reset();
  for (int i = 0; i < 20 && ends == 0; ++i) loop->turn(5);
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(relay->cause(), Cause::kSourceReset);
  relay.reset();
  EXPECT_EQ(pipes.given_out(), 0u);
}

TEST_F(RelaySocketTest, a_destination_that_dies_under_bulk_resets_the_source) {
  const std::string bytes = pattern(64 << 20);
  size_t sent = 0;
  fill_until_stuck(bytes, sent);
  destination.reset();
  for (int i = 0; i < 20 && ends == 0; ++i) loop->turn(5);
  EXPECT_EQ(relay->cause(), Cause::kDestinationReset);
  char byte;
  EXPECT_EQ(::recv(source.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(PipesTest, are_bounded_and_used_again_unless_bytes_are_left_in_them) {
  Pipes pipes;
  std::vector<Pipe> taken;
  while (auto pipe = pipes.take()) taken.push_back(std::move(*pipe));
  EXPECT_EQ(taken.size(), Pipes::kMost);
  const int reader = taken.back().reader.get();
  pipes.give_back(std::move(taken.back()), true);
  taken.pop_back();
  auto again = pipes.take();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->reader.get(), reader);
  pipes.give_back(std::move(*again), false);
  EXPECT_EQ(pipes.given_out(), Pipes::kMost - 1);
}

}  // namespace
}  // namespace weft::relay
