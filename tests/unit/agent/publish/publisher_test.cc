#include "agent/publish/publisher.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>

#include "tests/support/full_snapshot.h"
#include "tests/support/scratch_dir.h"
#include "userspace-proxy/base/seqpacket.h"
#include "userspace-proxy/feed/feed.h"
#include "userspace-proxy/model/codec.h"

namespace weft::publish {
namespace {

const model::PodKey kPod{"dev/web-1", 77};
const model::ListenerKey kListener{kPod, model::ListenerKind::kOutbound, model::Family::kV4};
const model::StockKey kStock{kPod, model::StockKind::kOutbound, model::Family::kV4};

std::shared_ptr<const base::Fd> some_socket() {
  return std::make_shared<const base::Fd>(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

std::vector<base::Fd> some_sockets(size_t count) {
  std::vector<base::Fd> sockets;
  for (size_t i = 0; i < count; ++i) sockets.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return sockets;
}

ino_t inode_of(int fd) {
  struct stat status{};
  EXPECT_EQ(fstat(fd, &status), 0);
  return status.st_ino;
}

model::SnapshotPtr snapshot_of(uint64_t version) {
  auto snapshot = std::make_shared<model::Snapshot>(test::full_snapshot());
  snapshot->version = version;
  return snapshot;
}

// What a proxy has heard.
struct Heard final : feed::FeedEvents {
  void on_snapshot(model::SnapshotPtr snapshot) override { snapshots.push_back(snapshot->version); }
  void on_listener(const model::ListenerKey& key, base::Fd socket) override {
    listeners[key] = std::move(socket);
  }
  void on_listener_gone(const model::ListenerKey& key) override { listeners.erase(key); }
  void on_pod_gone(const model::PodKey& pod) override { pods_gone.push_back(pod); }
  void on_stock(const model::StockKey& key, std::vector<base::Fd> sockets) override {
    stock[key] += sockets.size();
    ++stock_packets;
  }
  void on_stock_target(const model::StockKey&, uint32_t keep) override { stock_target = keep; }
  void on_settings(const model::LiveSettings& s) override { settings = s; }
  void on_connected() override { ++connected; }
  void on_synced() override { ++synced; }
  void on_disconnected(const base::Error&) override { ++disconnected; }

  std::vector<uint64_t> snapshots;
  std::map<model::ListenerKey, base::Fd> listeners;
  std::vector<model::PodKey> pods_gone;
  std::map<model::StockKey, size_t> stock;
  int stock_packets = 0;
  uint32_t stock_target = 0;
  model::LiveSettings settings;
  int connected = 0, synced = 0, disconnected = 0;
};

struct Told final : PublisherEvents {
  void on_proxy_ready(ProxyId proxy) override { ready.push_back(proxy); }
  void on_proxy_gone(ProxyId proxy) override { gone.push_back(proxy); }
  void on_stock_level(ProxyId proxy, const model::StockLevel& report) override {
    level_from = proxy;
    level = report;
  }
  void on_verdict(ProxyId, const model::Verdict& verdict) override { verdicts.push_back(verdict); }
  std::vector<ProxyId> ready, gone;
  ProxyId level_from = 0;
  model::StockLevel level;
  std::vector<model::Verdict> verdicts;
};

struct PublisherTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    start_agent();
  }
  void TearDown() override { loop->turn(0); }

  void start_agent() {
    publisher = std::make_unique<Publisher>(*loop, told, PublisherOptions{.socket_path = dir / "agent.sock"});
    ASSERT_TRUE(publisher->listen());
  }
  std::unique_ptr<feed::Feed> proxy(Heard& heard) {
    auto feed = std::make_unique<feed::Feed>(*loop, heard,
                                             feed::FeedOptions{.socket_path = dir / "agent.sock",
                                                               .version = "test",
                                                               .workers = 2,
                                                               .first_retry = base::Millis(10),
                                                               .last_retry = base::Millis(20)});
    feed->start();
    return feed;
  }
  // Turns the loop until `done`, at most two seconds.
  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 200 && !done(); ++i) loop->turn(10);
    return done();
  }

  test::ScratchDir dir;
  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop;
  Told told;
  std::unique_ptr<Publisher> publisher;
};

TEST_F(PublisherTest, a_new_proxy_gets_the_newest_snapshot_every_listener_settings_and_synced) {
  publisher->publish(snapshot_of(1));
  publisher->publish(snapshot_of(2));
  const auto socket = some_socket();
  publisher->add_listener(kListener, socket);
  publisher->set_settings({.access_log = true});
  publisher->mark_synced();
  Heard heard;
  const auto feed = proxy(heard);
  ASSERT_TRUE(until([&] { return heard.synced == 1 && !told.verdicts.empty(); }));
  EXPECT_EQ(heard.snapshots, std::vector<uint64_t>{2});
  ASSERT_EQ(heard.listeners.size(), 1u);
  EXPECT_EQ(inode_of(heard.listeners[kListener].get()), inode_of(socket->get()));
  EXPECT_TRUE(heard.settings.access_log);
  const auto status = publisher->proxies();
  ASSERT_EQ(status.size(), 1u);
  EXPECT_EQ(status[0].acked_version, 2u);
  EXPECT_EQ(status[0].workers, 2u);
  EXPECT_EQ(status[0].pid, getpid());
}

TEST_F(PublisherTest, a_refused_snapshot_leaves_the_one_before_and_names_the_broken_place) {
  publisher->publish(snapshot_of(1));
  Heard heard;
  const auto feed = proxy(heard);
  ASSERT_TRUE(until([&] { return told.verdicts.size() == 1; }));
  auto broken = std::make_shared<model::Snapshot>(test::full_snapshot());
  broken->version = 2;
  broken->clusters[0].endpoints[0].workload = 99;
  publisher->publish(broken);
  ASSERT_TRUE(until([&] { return told.verdicts.size() == 2; }));
  EXPECT_EQ(heard.snapshots, std::vector<uint64_t>{1});
  EXPECT_NE(told.verdicts[1].refusal.find("clusters[0].endpoints[0].workload"), std::string::npos);
  const auto status = publisher->proxies();
  EXPECT_EQ(status[0].acked_version, 1u);
  EXPECT_EQ(status[0].refused_version, 2u);
  EXPECT_EQ(publisher->counters().snapshots_refused, 1u);
  publisher->publish(snapshot_of(3));
  ASSERT_TRUE(until([&] { return heard.snapshots.size() == 2; }));
}

TEST_F(PublisherTest, snapshots_published_faster_than_they_are_judged_are_skipped_but_the_last_arrives) {
  Heard heard;
  const auto feed = proxy(heard);
  ASSERT_TRUE(until([&] { return told.ready.size() == 1; }));
  for (uint64_t version = 1; version <= 50; ++version) publisher->publish(snapshot_of(version));
  ASSERT_TRUE(until([&] { return !heard.snapshots.empty() && heard.snapshots.back() == 50; }));
  EXPECT_LT(heard.snapshots.size(), 10u);
}

TEST_F(PublisherTest, stock_goes_to_the_newest_proxy_in_packets_of_64_and_levels_come_back) {
  Heard old_heard, new_heard;
  const auto old_feed = proxy(old_heard);
  ASSERT_TRUE(until([&] { return told.ready.size() == 1; }));
  const auto new_feed = proxy(new_heard);
  ASSERT_TRUE(until([&] { return told.ready.size() == 2; }));
  publisher->add_stock(kStock, some_sockets(130));
  publisher->set_stock_target(kStock, 100);
  ASSERT_TRUE(until([&] { return new_heard.stock_target == 100; }));
  EXPECT_EQ(new_heard.stock[kStock], 130u);
  EXPECT_EQ(new_heard.stock_packets, 3);
  EXPECT_TRUE(old_heard.stock.empty());
  new_feed->report_stock(kStock, 30, 100);
  ASSERT_TRUE(until([&] { return told.level_from == told.ready[1]; }));
  EXPECT_EQ(told.level.key, kStock);
  EXPECT_EQ(told.level.level, 30u);
  EXPECT_EQ(told.level.received, 130u);
  EXPECT_EQ(told.level.taken, 100u);
}

TEST_F(PublisherTest, stock_without_a_proxy_is_closed_and_counted) {
  publisher->add_stock(kStock, some_sockets(3));
  ASSERT_TRUE(until([&] { return publisher->counters().stock_sockets_unwanted == 3; }));
}

TEST_F(PublisherTest, a_restarted_agent_is_found_again_and_what_it_no_longer_names_goes) {
  const model::PodKey stays{"dev/stays", 1}, goes{"dev/goes", 2};
  const model::ListenerKey of_stays{stays, model::ListenerKind::kInbound, model::Family::kV6};
  const model::ListenerKey of_goes{goes, model::ListenerKind::kInbound, model::Family::kV6};
  publisher->add_listener(of_stays, some_socket());
  publisher->add_listener(of_goes, some_socket());
  Heard heard;
  const auto feed = proxy(heard);
  ASSERT_TRUE(until([&] { return heard.listeners.size() == 2; }));
  publisher.reset();
  ASSERT_TRUE(until([&] { return heard.disconnected == 1; }));
  EXPECT_EQ(heard.listeners.size(), 2u) << "while the agent is away everything stays";
  start_agent();
  publisher->add_listener(of_stays, some_socket());
  ASSERT_TRUE(until([&] { return heard.connected == 2; }));
  loop->turn(10);
  EXPECT_TRUE(heard.pods_gone.empty()) << "nothing goes before the agent has said that it is complete";
  publisher->mark_synced();
  ASSERT_TRUE(until([&] { return heard.synced == 1; }));
  EXPECT_EQ(heard.pods_gone, std::vector<model::PodKey>{goes});
}

TEST_F(PublisherTest, a_removed_pod_is_gone_for_proxies_of_today_and_tomorrow) {
  publisher->add_listener(kListener, some_socket());
  Heard today, tomorrow;
  const auto feed = proxy(today);
  ASSERT_TRUE(until([&] { return today.listeners.size() == 1; }));
  publisher->remove_pod(kPod);
  ASSERT_TRUE(until([&] { return today.pods_gone.size() == 1; }));
  const auto later = proxy(tomorrow);
  ASSERT_TRUE(until([&] { return told.ready.size() == 2; }));
  loop->turn(10);
  EXPECT_TRUE(tomorrow.listeners.empty());
}

TEST_F(PublisherTest, a_peer_that_talks_nonsense_or_out_of_turn_is_cut_off_and_counted) {
  const std::string verdict = model::encode(model::ToAgent(model::Verdict{1, ""}));
  const std::string stranger = model::encode(model::ToAgent(model::Hello{.protocol = 99}));
  const std::string early = model::encode(model::ToAgent(model::StockLevel{.key = kStock}));
  uint64_t cut = 0;
  for (const std::string& packet : {std::string("nonsense"), verdict, stranger, early}) {
    const auto client = base::connect_seqpacket(dir / "agent.sock");
    ASSERT_TRUE(client);
    ASSERT_EQ(base::send_packet(client->get(), packet).kind, base::Io::Kind::kBytes);
    ++cut;
    ASSERT_TRUE(until([&] { return publisher->counters().proxies_lost == cut; }));
    base::Packet answer;
    EXPECT_EQ(base::receive_packet(client->get(), 4096, 0, &answer).kind, base::Io::Kind::kEnd);
  }
  EXPECT_EQ(publisher->counters().invalid_packets, cut);
  EXPECT_TRUE(told.ready.empty());
}

TEST_F(PublisherTest, a_peer_of_another_user_is_refused_and_counted) {
  ASSERT_EQ(geteuid(), 0u) << "only root can play another user";
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((dir / "agent.sock").c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    const auto client = base::connect_seqpacket(dir / "agent.sock");
    _exit(client ? 0 : 3);
  }
  ASSERT_TRUE(until([&] { return publisher->counters().proxies_refused == 1; }));
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "it could connect, but was not heard";
  EXPECT_EQ(publisher->counters().proxies_accepted, 0u);
}

TEST_F(PublisherTest, the_socket_file_has_the_mode_that_was_asked_for) {
  struct stat status{};
  ASSERT_EQ(stat((dir / "agent.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
}

}  // namespace
}  // namespace weft::publish
