#include "userspace-proxy/worker/layer4.h"

#include <gtest/gtest.h>

#include "tests/support/fake_transport.h"
#include "tests/support/policy_builders.h"
#include "userspace-proxy/observe/access_log.h"

namespace weft::worker {
namespace {

base::SocketAddress at(const std::string& text) {
  return *base::SocketAddress::parse(text);
}

// Answers a dial when the test says so.
struct FakeDialer final : connect::Dialer {
  struct Pending final : connect::Dial {
    explicit Pending(FakeDialer& its_owner) : owner(its_owner) {}
    ~Pending() override { owner.handler = nullptr; }
    FakeDialer& owner;
  };
  std::unique_ptr<connect::Dial> dial(const connect::DialTarget& wanted,
                                      connect::DialHandler& its_handler) override {
    pod = wanted.pod;
    destination = wanted.destination;
    client = wanted.client;
    origin.reset();
    if (wanted.origin) origin.emplace(wanted.origin->client, wanted.origin->service);
    handler = &its_handler;
    return std::make_unique<Pending>(*this);
  }
  std::string pod;
  base::SocketAddress destination;
  std::optional<base::SocketAddress> client;
  std::optional<std::pair<base::SocketAddress, std::string>> origin;
  connect::DialHandler* handler = nullptr;  // null: no dial under way
};

struct Lines final : observe::LogSink {
  bool take(std::string chunk) override {
    text += chunk;
    return true;
  }
  std::string text;
};

model::Snapshot small() {
  model::Snapshot snapshot{.version = 1};
  snapshot.workloads = {
      {.name = "web", .ns = "dev", .addresses = {at("10.0.1.1:0").address}, .enrolled = true, .local = true},
      {.name = "db", .ns = "dev", .addresses = {at("10.0.2.1:0").address}, .enrolled = true}};
  model::Service db{.name = "db",
                    .ns = "dev",
                    .hostname = "db.dev.svc.cluster.local",
                    .addresses = {at("10.96.0.1:0").address}};
  db.ports.push_back({.port = 5432, .cluster = 0});
  snapshot.services = {db};
  snapshot.clusters = {{.name = "outbound|5432||db.dev.svc.cluster.local",
                        .service = 0,
                        .endpoints = {{at("10.0.2.1:5432"), 1, 1}}}};
  snapshot.local_pods = {{.workload = 0}};
  return snapshot;
}

struct Layer4Test : testing::Test, Layer4Owner {
  Layer4Test() { log.enable(true); }
  void on_layer4_over(Layer4&) override { ++overs; }

  void begin(listen::Kind kind, const char* original, const char* peer) {
    const auto config = Config::build(std::make_shared<const model::Snapshot>(snapshot));
    auto info = identify::identify(
        *config->index, {.kind = kind, .pod = "dev/web", .original = at(original), .peer = at(peer)});
    info.started = clock.now();
    Layer4Owner& owner = *this;
    connection =
        std::make_unique<Layer4>(Tools{*loop, {scratch, pipes}, dialer, recorder, random}, std::move(info),
                                 std::make_unique<SocketGate>(std::make_unique<test::FakeTransport>(source)), owner);
    connection->start(*config);
  }
  void connected() { dialer.handler->on_dialled(std::make_unique<test::FakeTransport>(destination)); }
  std::string line() {
    log.flush();
    return lines.text;
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  std::vector<char> scratch = std::vector<char>(4096);
  relay::Pipes pipes;
  FakeDialer dialer;
  observe::Metrics metrics;
  Lines lines;
  observe::AccessLog log{loop->timers(), lines, metrics.counters};
  observe::Recorder recorder{metrics, log};
  std::minstd_rand random;
  model::Snapshot snapshot = small();
  test::FarEnd source, destination;
  std::unique_ptr<Layer4> connection;
  int overs = 0;
};

TEST_F(Layer4Test, carries_a_service_connection_and_leaves_one_record) {
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  EXPECT_EQ(dialer.destination, at("10.0.2.1:5432"));
  EXPECT_EQ(dialer.pod, "dev/web");
  EXPECT_FALSE(dialer.client);
  connected();
  source.sends("query");
  destination.sends("rows and rows");
  connection->count_bytes();
  source.ends();
  destination.ends();
  EXPECT_EQ(overs, 1);
  EXPECT_NE(line().find("\"- - -\" 0 - - - \"-\" 5 13 "), std::string::npos) << line();
  EXPECT_NE(
      line().find("\"10.0.2.1:5432\" outbound|5432||db.dev.svc.cluster.local - 10.96.0.1:5432 10.0.1.1:4000"),
      std::string::npos);
  const auto copy = metrics.copy();
  EXPECT_EQ(copy.tcp[1].opened, 1u);
  EXPECT_EQ(copy.tcp[1].closed[0], 1u);
  EXPECT_EQ(copy.tcp[1].received, 5u);
  EXPECT_EQ(copy.tcp[1].sent, 13u);
}

TEST_F(Layer4Test, tells_its_dialer_who_called_which_service) {
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  ASSERT_TRUE(dialer.origin);
  EXPECT_EQ(dialer.origin->first, at("10.0.1.1:4000"));
  EXPECT_EQ(dialer.origin->second, "db.dev.svc.cluster.local");
  begin(listen::Kind::kOutbound, "10.0.2.1:5432", "10.0.1.1:4001");
  ASSERT_TRUE(dialer.origin);
  EXPECT_EQ(dialer.origin->first, at("10.0.1.1:4001"));
  EXPECT_EQ(dialer.origin->second, "") << "a pod's address was called";
}

TEST_F(Layer4Test, what_was_to_go_through_a_tunnel_and_does_not_is_counted_as_plain) {
  snapshot.settings.mutual_tls = true;
  const base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  destination.descriptor = socket.get();
  connected();
  source.sends("query");
  connection->count_bytes();
  source.ends();
  destination.ends();
  EXPECT_EQ(line().find("identity="), std::string::npos) << line();
  std::map<std::string, uint64_t> received;
  for (const auto& series : metrics.copy().tcp)
    if (series.received > 0) received[series.labels->values.back()] = series.received;
  EXPECT_EQ(received, (std::map<std::string, uint64_t>{{"none", 5}}));
}

TEST_F(Layer4Test, a_failed_dial_resets_the_application_and_says_why) {
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  dialer.handler->on_dialled(
      base::fail_errno(ECONNREFUSED, "connect 10.0.2.1:5432", base::Side::kDestination));
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(overs, 1);
  EXPECT_NE(line().find(" 0 CONNECT - - \"connect 10.0.2.1:5432: Connection refused\""), std::string::npos)
      << line();
}

TEST_F(Layer4Test, a_service_without_endpoints_resets_at_once_and_dials_nothing) {
  snapshot.clusters[0].endpoints.clear();
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(dialer.handler, nullptr);
  EXPECT_EQ(metrics.counters.relay_no_endpoint, 1u);
  EXPECT_NE(line().find(" UH "), std::string::npos);
}

TEST_F(Layer4Test, an_address_nobody_knows_is_dialled_as_it_is) {
  begin(listen::Kind::kOutbound, "198.51.100.7:443", "10.0.1.1:4000");
  EXPECT_EQ(dialer.destination, at("198.51.100.7:443"));
  connected();
  source.resets();
  EXPECT_NE(line().find("PassthroughCluster"), std::string::npos);
  EXPECT_EQ(metrics.counters.relay_source_reset, 1u);
}

TEST_F(Layer4Test, an_arrival_is_delivered_from_the_clients_address) {
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.2.1:5000");
  EXPECT_EQ(dialer.destination, at("10.0.1.1:8080"));
  EXPECT_EQ(dialer.client, at("10.0.2.1:5000"));
}

TEST_F(Layer4Test, an_arrival_that_the_kernel_attested_is_proven_and_any_other_is_not) {
  snapshot.workloads.push_back(
      {.name = "job", .ns = "dev", .addresses = {at("10.0.1.2:0").address}, .enrolled = true, .local = true});
  snapshot.local_pods = {{.workload = 0, .peer_mode = model::PeerMode::kStrict}, {.workload = 2}};
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.1.2:5000");
  EXPECT_TRUE(source.saw_reset) << "an address proves nothing";
  EXPECT_EQ(dialer.handler, nullptr);

  source = {};
  begin(listen::Kind::kAttested, "10.0.1.1:8080", "10.0.1.2:5000");
  EXPECT_EQ(dialer.destination, at("10.0.1.1:8080"));
  EXPECT_EQ(dialer.client, at("10.0.1.2:5000"));
}

TEST_F(Layer4Test, a_dry_run_lets_in_is_counted_and_named_in_the_record) {
  test::give_rules(snapshot, 0, {test::rule(9, true, {.ports = {8080}})});
  snapshot.policy_rules[0].source = "AuthorizationPolicy dev/no rules[0]";
  snapshot.policy_rules[0].dry_run = true;
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.2.1:5000");
  connected();
  source.ends();
  destination.ends();
  EXPECT_EQ(metrics.counters.policy_dry_run_denials, 1u);
  EXPECT_EQ(metrics.counters.policy_refused, 0u);
  EXPECT_NE(line().find("dry\\x20run:\\x20denied\\x20by\\x20rule\\x209"), std::string::npos) << line();
}

TEST_F(Layer4Test, a_refused_arrival_is_reset_before_anything_is_dialled) {
  test::give_rules(snapshot, 0, {test::rule(9, true, {.ports = {8080}})});
  snapshot.policy_rules[0].source = "AuthorizationPolicy dev/no rules[0]";
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.2.1:5000");
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(dialer.handler, nullptr);
  EXPECT_EQ(metrics.counters.policy_refused, 1u);
  EXPECT_NE(line().find(" DENY - policy:\\x20rule\\x209\\x20(AuthorizationPolicy"), std::string::npos)
      << line();
}

TEST_F(Layer4Test, a_new_policy_cuts_a_connection_that_runs_or_is_being_dialled) {
  auto next = snapshot;
  test::give_rules(next, 0, {test::rule(9, true)});
  const auto config = Config::build(std::make_shared<const model::Snapshot>(next));
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.2.1:5000");
  connected();
  connection->judge_again(*config);
  EXPECT_TRUE(source.saw_reset);
  EXPECT_TRUE(destination.saw_reset);
  connection->judge_again(*config);
  EXPECT_EQ(overs, 1);

  source = {};
  begin(listen::Kind::kInbound, "10.0.1.1:8080", "10.0.2.1:5000");
  connection->judge_again(*config);
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(dialer.handler, nullptr) << "the dial is cancelled";
  EXPECT_EQ(metrics.counters.policy_cut, 2u);
}

TEST_F(Layer4Test, a_connection_that_is_cut_by_the_end_of_the_drain_has_no_flag) {
  begin(listen::Kind::kOutbound, "10.96.0.1:5432", "10.0.1.1:4000");
  connected();
  connection->cut();
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(metrics.counters.drain_cut, 1u);
  EXPECT_NE(line().find(" 0 - - drain "), std::string::npos) << line();
}

TEST(Layer4Memory, all_objects_of_an_idle_connection_fit_into_two_kibibytes) {
  EXPECT_LE(sizeof(Layer4) + sizeof(relay::Relay) + 2 * sizeof(base::TcpTransport), 2048u);
}

}  // namespace
}  // namespace weft::worker
