// The room as a whole: a real publisher, a real channel and a proxy's end of it, a CA in memory.
#include "agent/certs/service.h"

#include <openssl/core_names.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>

#include "tests/support/scratch_dir.h"
#include "tests/unit/agent/certs/authority.h"
#include "userspace-proxy/feed/feed.h"

namespace weft::certs {
namespace {

using std::chrono::hours;

const model::SpiffeId kWeb{"cluster.local", "dev", "web"}, kGateway{"cluster.local", "edge", "gateway"};

base::WallTime now() {
  return base::SystemClock().wall_now();
}

// Signs what it is asked for, from several threads.
class FakeCa final : public CaClient {
 public:
  explicit FakeCa(const Authority& root) : root_(root) {}
  base::Result<Answer> request(const Ask& ask) override {
    ++requests;
    if (away) return base::fail(base::ErrorKind::kClosed, "away");
    const Wish wish{.names = uri(ask.identity), .begin = now() - hours(1), .end = now() + hours(23)};
    const std::lock_guard lock(mutex_);
    return Answer{{root_.sign(ask.request, wish), root_.pem()}};
  }
  std::atomic<int> requests{0};
  std::atomic<bool> away{false};

 private:
  const Authority& root_;
  std::mutex mutex_;
};

// The proxy's half: makes keys, and remembers every byte that crossed the channel.
struct FakeProxy final : feed::FeedEvents {
  void on_snapshot(model::SnapshotPtr) override {}
  void on_listener(const model::ListenerKey&, base::Fd) override {}
  void on_listener_gone(const model::ListenerKey&) override {}
  void on_pod_gone(const model::PodKey&) override {}
  void on_stock(const model::StockKey&, std::vector<base::Fd>) override {}
  void on_stock_target(const model::StockKey&, uint32_t) override {}
  void on_settings(const model::LiveSettings&) override {}
  void on_connected() override {}
  void on_synced() override {}
  void on_disconnected(const base::Error&) override {}
  void on_key_wanted(const model::KeyWanted& wanted) override {
    crossed += model::encode(model::ToProxy(wanted));
    keys.push_back(new_key());
    const model::CertificateRequest request{wanted.identity, wanted.key_id, request_for(*keys.back())};
    crossed += model::encode(model::ToAgent(request));
    feed->request_certificate(request);
  }
  void on_certificate(const model::CertificateOffer& offer, std::string_view pem) override {
    crossed += model::encode(model::ToProxy(offer));
    crossed += pem;
    chains[offer.identity] = pem;
  }
  void on_certificate_failed(const model::CertificateFailed& failed) override { failures.push_back(failed); }
  void on_identity_gone(const model::SpiffeId& identity) override { gone.push_back(identity); }
  void on_trust_bundle(uint64_t generation, std::string_view pem) override {
    crossed += pem;
    bundles[generation] = pem;
  }

  std::unique_ptr<feed::Feed> feed;
  std::vector<grpc::KeyPtr> keys;
  std::map<model::SpiffeId, std::string> chains;
  std::map<uint64_t, std::string> bundles;
  std::vector<model::CertificateFailed> failures;
  std::vector<model::SpiffeId> gone;
  std::string crossed;
};

struct NoEvents final : publish::PublisherEvents {
  void on_proxy_ready(publish::ProxyId) override {}
  void on_proxy_gone(publish::ProxyId) override {}
  void on_stock_level(publish::ProxyId, const model::StockLevel&) override {}
  void on_verdict(publish::ProxyId, const model::Verdict&) override {}
};

model::Snapshot node_with(const std::vector<std::string>& accounts) {
  model::Snapshot snapshot;
  snapshot.settings.mutual_tls = true;
  for (const auto& account : accounts) {
    model::Workload workload{.name = account + "-1", .ns = "dev", .service_account = account};
    workload.enrolled = workload.local = true;
    snapshot.local_pods.push_back({.workload = static_cast<uint32_t>(snapshot.workloads.size())});
    snapshot.workloads.push_back(workload);
  }
  // Of another node: none of ours.
  snapshot.workloads.push_back({.name = "far-1", .ns = "dev", .service_account = "far"});
  return snapshot;
}

struct ServiceTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    publisher = std::make_unique<publish::Publisher>(
        *loop, no_events, publish::PublisherOptions{.socket_path = dir / "agent.sock"});
    ASSERT_TRUE(publisher->listen());
  }
  void TearDown() override {
    if (service) service->stop();
    proxy.feed.reset();
    loop->turn(0);
  }
  void start(const std::string& root_file) {
    auto client = std::make_unique<FakeCa>(root);
    ca = client.get();
    service = std::make_unique<Service>(*loop, *publisher, std::move(client),
                                        ServiceOptions{root_file, base::Millis(20)});
    service->start();
    proxy.feed = std::make_unique<feed::Feed>(
        *loop, proxy, feed::FeedOptions{.socket_path = dir / "agent.sock", .version = "test", .workers = 1});
    proxy.feed->start();
  }
  // As others replace it: aside and renamed.
  void write_roots(const std::string& pem) {
    std::ofstream(dir / "roots.new") << pem;
    std::filesystem::rename(dir / "roots.new", dir / "roots");
  }
  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 300 && !done(); ++i) loop->turn(10);
    return done();
  }

  test::ScratchDir dir;
  base::SystemClock clock;
  NoEvents no_events;
  const Authority root{"root", now() - hours(1000), now() + hours(1000)};
  std::unique_ptr<base::Loop> loop;
  std::unique_ptr<publish::Publisher> publisher;
  FakeCa* ca = nullptr;
  std::unique_ptr<Service> service;
  FakeProxy proxy;
};

TEST_F(ServiceTest, a_proxy_gets_the_bundle_of_the_file_and_a_certificate_for_every_identity_of_the_node) {
  write_roots(root.pem());
  start(dir / "roots");
  service->want(node_with({"web", "db"}));
  ASSERT_TRUE(until([&] { return proxy.chains.size() == 2; }));
  ASSERT_EQ(proxy.bundles.size(), 1u);
  EXPECT_EQ(proxy.bundles.begin()->second, root.pem());
  EXPECT_TRUE(proxy.chains.contains(kWeb));
  EXPECT_EQ(ca->requests, 2);
}

TEST_F(ServiceTest, a_changed_file_reaches_the_proxy_within_a_second_without_a_restart) {
  write_roots(root.pem());
  start(dir / "roots");
  ASSERT_TRUE(until([&] { return proxy.bundles.size() == 1; }));
  const Authority other("other", now() - hours(1), now() + hours(1000));
  const auto written = clock.now();
  write_roots(root.pem() + other.pem());
  ASSERT_TRUE(until([&] { return proxy.bundles.size() == 2; }));
  EXPECT_LT(clock.now() - written, base::Nanos(std::chrono::seconds(1)));
  EXPECT_EQ(proxy.bundles.rbegin()->second, root.pem() + other.pem());
  write_roots(other.pem());
  ASSERT_TRUE(until([&] { return proxy.bundles.size() == 3; }));
  EXPECT_EQ(proxy.bundles.rbegin()->second, other.pem());
}

TEST_F(ServiceTest, a_broken_file_leaves_the_proxies_their_bundle) {
  write_roots(root.pem());
  start(dir / "roots");
  ASSERT_TRUE(until([&] { return proxy.bundles.size() == 1; }));
  write_roots("");
  ASSERT_TRUE(until([&] { return service->bundle().counters().refused == 1; }));
  EXPECT_EQ(proxy.bundles.size(), 1u);
  EXPECT_NE(service->bundle().roots(), nullptr);
}

TEST_F(ServiceTest, without_a_file_the_roots_come_with_the_answers) {
  start("");
  service->want(node_with({"web"}));
  ASSERT_TRUE(until([&] { return proxy.chains.size() == 1 && proxy.bundles.size() == 1; }));
  EXPECT_EQ(proxy.bundles.begin()->second, root.pem());
}

TEST_F(ServiceTest, a_ca_that_is_away_is_told_and_asked_again) {
  write_roots(root.pem());
  start(dir / "roots");
  ca->away = true;
  service->want(node_with({"web"}));
  ASSERT_TRUE(until([&] { return !proxy.failures.empty(); }));
  EXPECT_NE(proxy.failures[0].reason.find("away"), std::string::npos);
  ca->away = false;
  ASSERT_TRUE(until([&] { return proxy.chains.size() == 1; }));
}

TEST_F(ServiceTest, an_identity_whose_pods_are_gone_is_forgotten_by_the_proxy) {
  write_roots(root.pem());
  start(dir / "roots");
  service->want(node_with({"web"}));
  ASSERT_TRUE(until([&] { return proxy.chains.size() == 1; }));
  service->want(node_with({}));
  ASSERT_TRUE(until([&] { return proxy.gone.size() == 1; }));
  EXPECT_EQ(proxy.gone[0], kWeb);
}

TEST_F(ServiceTest, no_private_key_crosses_the_channel) {
  write_roots(root.pem());
  start(dir / "roots");
  service->want(node_with({"web", "db", "shop"}));
  ASSERT_TRUE(until([&] { return proxy.chains.size() == 3; }));
  ASSERT_EQ(proxy.keys.size(), 3u);
  EXPECT_EQ(proxy.crossed.find("PRIVATE KEY"), std::string::npos);
  for (const auto& key : proxy.keys) {
    // The number that is the secret, as any form of the key would carry it.
    BIGNUM* number = nullptr;
    ASSERT_EQ(EVP_PKEY_get_bn_param(key.get(), "priv", &number), 1);
    std::string secret(32, '\0');
    ASSERT_EQ(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(secret.data()), 32), 32);
    BN_clear_free(number);
    EXPECT_EQ(proxy.crossed.find(secret), std::string::npos);
    // That the search would find what is there: the public half did cross.
    std::string open(65, '\0');
    size_t size = 0;
    ASSERT_EQ(EVP_PKEY_get_octet_string_param(key.get(), "pub", reinterpret_cast<unsigned char*>(open.data()),
                                              open.size(), &size),
              1);
    EXPECT_NE(proxy.crossed.find(open.substr(0, size)), std::string::npos);
  }
}

TEST(Identities, of_a_node_are_those_of_its_enrolled_pods) {
  EXPECT_EQ(identities_of(node_with({"web", "web", "db"})),
            (std::set<model::SpiffeId>{kWeb, {"cluster.local", "dev", "db"}}));
}

TEST(Identities, of_a_gateway_is_its_own_pods_alone) {
  model::Snapshot snapshot = node_with({});
  snapshot.role = model::Role::kGateway;
  EXPECT_TRUE(identities_of(snapshot).empty());
  snapshot.self = static_cast<uint32_t>(snapshot.workloads.size());
  snapshot.workloads.push_back({.name = "gateway-1", .ns = "edge", .service_account = "gateway"});
  EXPECT_EQ(identities_of(snapshot), (std::set<model::SpiffeId>{kGateway}));
}

TEST(Identities, that_no_certificate_can_carry_are_left_out) {
  auto snapshot = node_with({"web", "we b"});
  EXPECT_EQ(identities_of(snapshot), (std::set<model::SpiffeId>{kWeb}));
}

}  // namespace
}  // namespace weft::certs
