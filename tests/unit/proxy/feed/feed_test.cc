#include "userspace-proxy/feed/feed.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <functional>

#include "tests/support/full_snapshot.h"
#include "tests/support/scratch_dir.h"
#include "userspace-proxy/base/seqpacket.h"
#include "userspace-proxy/model/codec.h"

namespace weft::feed {
namespace {

struct Quiet final : FeedEvents {
  void on_snapshot(model::SnapshotPtr snapshot) override { version = snapshot->version; }
  void on_listener(const model::ListenerKey&, base::Fd) override { ++listeners; }
  void on_listener_gone(const model::ListenerKey&) override { ++listeners_gone; }
  void on_pod_gone(const model::PodKey&) override { ++pods_gone; }
  void on_stock(const model::StockKey&, std::vector<base::Fd> sockets) override { stock += sockets.size(); }
  void on_stock_target(const model::StockKey&, uint32_t) override {}
  void on_settings(const model::LiveSettings&) override {}
  void on_connected() override {}
  void on_synced() override {}
  void on_disconnected(const base::Error& error) override { why.push_back(error.what); }
  uint64_t version = 0;
  size_t listeners = 0, listeners_gone = 0, pods_gone = 0, stock = 0;
  std::vector<std::string> why;
};

// The test plays the agent by hand.
struct FeedTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    listening = *base::listen_seqpacket(dir / "a", 0600);
    feed = std::make_unique<Feed>(*loop, events,
                                  FeedOptions{.socket_path = dir / "a", .first_retry = base::Millis(10)});
    feed->start();
    accept_feed();
  }
  void accept_feed() { agent = base::Fd(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void send(const model::ToProxy& message, std::span<const int> fds = {}) {
    ASSERT_EQ(base::send_packet(agent.get(), model::encode(message), fds).kind, base::Io::Kind::kBytes);
  }
  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 200 && !done(); ++i) loop->turn(10);
    return done();
  }
  model::ToAgent heard() {
    base::Packet packet;
    EXPECT_EQ(base::receive_packet(agent.get(), 4096, 0, &packet).kind, base::Io::Kind::kBytes);
    return *model::decode_to_agent(packet.bytes, 0);
  }

  test::ScratchDir dir;
  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop;
  base::Fd listening, agent;
  Quiet events;
  std::unique_ptr<Feed> feed;
};

TEST_F(FeedTest, says_hello_first_and_answers_each_snapshot) {
  EXPECT_EQ(std::get<model::Hello>(heard()).protocol, model::kChannelProtocol);
  const std::string bytes = model::encode(test::full_snapshot());
  const base::Fd memory = *base::seal_memory("s", bytes);
  const int fd = memory.get();
  send(model::SnapshotOffer{5, bytes.size()}, {&fd, 1});
  ASSERT_TRUE(until([&] { return events.version != 0; }));
  const auto verdict = std::get<model::Verdict>(heard());
  EXPECT_EQ(verdict.version, 5u);
  EXPECT_EQ(verdict.refusal, "");
}

TEST_F(FeedTest, a_snapshot_in_memory_that_can_still_change_ends_the_channel) {
  const base::Fd memory(memfd_create("s", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(write(memory.get(), "x", 1), 1);
  const int fd = memory.get();
  send(model::SnapshotOffer{5, 1}, {&fd, 1});
  ASSERT_TRUE(until([&] { return !events.why.empty(); }));
  EXPECT_EQ(events.why[0], "not a sealed memfd");
}

TEST_F(FeedTest, a_snapshot_of_another_size_than_announced_ends_the_channel) {
  const base::Fd memory = *base::seal_memory("s", "12345");
  const int fd = memory.get();
  send(model::SnapshotOffer{5, 4096}, {&fd, 1});
  ASSERT_TRUE(until([&] { return !events.why.empty(); }));
  EXPECT_EQ(events.why[0], "a memfd of another size than announced");
}

TEST_F(FeedTest, garbage_in_a_sealed_snapshot_is_answered_with_a_refusal) {
  (void)heard();
  const base::Fd memory = *base::seal_memory("s", "garbage");
  const int fd = memory.get();
  send(model::SnapshotOffer{6, 7}, {&fd, 1});
  ASSERT_TRUE(until([&] { return feed->counters().snapshots_refused == 1; }));
  EXPECT_FALSE(std::get<model::Verdict>(heard()).refusal.empty());
  EXPECT_TRUE(feed->connected());
  EXPECT_EQ(events.version, 0u);
}

TEST_F(FeedTest, nonsense_ends_the_channel_and_it_connects_again) {
  ASSERT_EQ(base::send_packet(agent.get(), "nonsense").kind, base::Io::Kind::kBytes);
  ASSERT_TRUE(until([&] { return events.why.size() == 1; }));
  EXPECT_EQ(feed->counters().invalid_packets, 1u);
  ASSERT_TRUE(until([&] { return feed->connected(); }));
  accept_feed();
  EXPECT_EQ(std::get<model::Hello>(heard()).protocol, model::kChannelProtocol);
}

TEST_F(FeedTest, a_packet_larger_than_the_bound_ends_the_channel) {
  ASSERT_EQ(base::send_packet(agent.get(), std::string(model::kMaxPacketBytes + 1, 'x')).kind,
            base::Io::Kind::kBytes);
  ASSERT_TRUE(until([&] { return events.why.size() == 1; }));
}

TEST_F(FeedTest, a_gone_listener_is_told_once) {
  const model::ListenerKey key{{"dev/a", 1}, model::ListenerKind::kRefuse, model::Family::kV4};
  const int fd = listening.get();
  send(model::ListenerOffer{key}, {&fd, 1});
  send(model::ListenerGone{key});
  send(model::ListenerGone{key});
  send(model::PodGone{key.pod});
  send(model::PodGone{key.pod});
  ASSERT_TRUE(until([&] { return events.pods_gone == 1; }));
  loop->turn(10);
  EXPECT_EQ(events.listeners, 1u);
  EXPECT_EQ(events.listeners_gone, 1u);
  EXPECT_EQ(events.pods_gone, 1u);
}

}  // namespace
}  // namespace weft::feed
