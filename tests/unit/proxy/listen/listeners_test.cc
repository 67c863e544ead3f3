#include "userspace-proxy/listen/listeners.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace weft::listen {
namespace {

using base::SocketAddress;

base::Fd listening(const char* address = "127.0.0.1:0") {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  const socklen_t length = SocketAddress::parse(address)->to_sockaddr(&storage);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  EXPECT_EQ(::listen(fd.get(), 64), 0);
  return fd;
}

base::Fd copy(const base::Fd& fd) {
  return base::Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

base::Fd client(const SocketAddress& to) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(&storage);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  return fd;
}

struct ListenersTest : testing::Test, Receiver {
  void on_accepted(const model::ListenerKey& from, base::Fd socket, const SocketAddress& peer) override {
    accepted.push_back(std::move(socket));
    keys.push_back(from);
    peers.push_back(peer);
  }
  void turns(int count = 5) {
    for (int i = 0; i < count; ++i) loop->turn(5);
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  observe::Counters counters;
  Listeners listeners{*loop, counters, *this};
  const model::ListenerKey key{.pod = {"dev/web", 1}, .kind = Kind::kOutbound, .family = model::Family::kV4};
  std::vector<base::Fd> accepted;
  std::vector<model::ListenerKey> keys;
  std::vector<SocketAddress> peers;
};

TEST_F(ListenersTest, hands_over_what_arrives_with_its_key_and_peer_and_without_delay_of_small_writes) {
  base::Fd listener = listening();
  const auto at = *base::local_address(listener.get());
  ASSERT_TRUE(listeners.set(key, std::move(listener)));
  const base::Fd one = client(at);
  turns();
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(keys[0], key);
  EXPECT_EQ(peers[0], *base::local_address(one.get()));
  EXPECT_EQ(counters.connections_accepted, 1u);
  int no_delay = 0;
  socklen_t length = sizeof no_delay;
  getsockopt(accepted[0].get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
  EXPECT_EQ(no_delay, 1);
  EXPECT_NE(fcntl(accepted[0].get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ListenersTest, a_batch_is_bounded_so_that_connections_get_their_turn) {
  base::Fd listener = listening();
  const auto at = *base::local_address(listener.get());
  std::vector<base::Fd> clients;
  for (int i = 0; i < Listeners::kBatch + 5; ++i) clients.push_back(client(at));
  ASSERT_TRUE(listeners.set(key, std::move(listener)));
  loop->turn(5);
  EXPECT_EQ(accepted.size(), static_cast<size_t>(Listeners::kBatch));
  turns();
  EXPECT_EQ(accepted.size(), static_cast<size_t>(Listeners::kBatch) + 5);
}

TEST_F(ListenersTest, a_replaced_listener_is_drained_and_nothing_is_lost) {
  base::Fd old = listening();
  const auto old_at = *base::local_address(old.get());
  ASSERT_TRUE(listeners.set(key, std::move(old)));
  base::Fd fresh = listening();
  const auto fresh_at = *base::local_address(fresh.get());
  const base::Fd early = client(old_at);
  ASSERT_TRUE(listeners.set(key, std::move(fresh)));
  EXPECT_EQ(listeners.size(), 1u);
  const base::Fd late = client(old_at);
  const base::Fd next = client(fresh_at);
  turns(20);
  EXPECT_EQ(accepted.size(), 3u);
  const auto end = clock.now() + Listeners::kDrain + base::Millis(300);
  while (clock.now() < end) loop->turn(50);
  base::Fd refused(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = old_at.to_sockaddr(&storage);
  EXPECT_NE(::connect(refused.get(), reinterpret_cast<sockaddr*>(&storage), length), 0)
      << "the old one is closed";
}

TEST_F(ListenersTest, the_same_socket_again_changes_nothing) {
  base::Fd listener = listening();
  const auto at = *base::local_address(listener.get());
  ASSERT_TRUE(listeners.set(key, copy(listener)));
  ASSERT_TRUE(listeners.set(key, copy(listener)));
  const base::Fd one = client(at);
  turns();
  EXPECT_EQ(accepted.size(), 1u);
}

TEST_F(ListenersTest, after_closing_all_the_queue_is_left_to_who_else_holds_the_socket) {
  const base::Fd listener = listening();
  const auto at = *base::local_address(listener.get());
  ASSERT_TRUE(listeners.set(key, copy(listener)));
  listeners.close_all();
  loop->turn(0);
  const base::Fd one = client(at);
  turns();
  EXPECT_TRUE(accepted.empty());
  const base::Fd taken(::accept(listener.get(), nullptr, nullptr));
  EXPECT_TRUE(taken.valid());
}

TEST_F(ListenersTest, a_pod_that_is_gone_takes_its_listeners_along) {
  base::Fd listener = listening();
  ASSERT_TRUE(listeners.set(key, std::move(listener)));
  auto other = key;
  other.pod.netns_cookie = 2;
  ASSERT_TRUE(listeners.set(other, listening()));
  listeners.remove_pod(key.pod);
  EXPECT_EQ(listeners.size(), 1u);
}

}  // namespace
}  // namespace weft::listen
