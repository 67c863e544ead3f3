#pragma once
// Two workers' mTLS halves face to face.
#include <gtest/gtest.h>

#include "tests/support/fake_transport.h"
#include "tests/support/test_ca.h"
#include "tests/support/transport_pair.h"
#include "userspace-proxy/tls/key_ring.h"
#include "userspace-proxy/worker/mesh.h"

namespace weft::worker {

inline base::SocketAddress at(const std::string& text) {
  return *base::SocketAddress::parse(text);
}

inline const model::SpiffeId kWeb{"cluster.local", "dev", "web"}, kApi{"cluster.local", "prod", "api"};

inline std::shared_ptr<model::Snapshot> small() {
  auto snapshot = std::make_shared<model::Snapshot>();
  snapshot->settings.mutual_tls = true;
  snapshot->workloads = {{.name = "web-1",
                          .ns = "dev",
                          .service_account = "web",
                          .addresses = {at("10.0.1.1:0").address},
                          .enrolled = true,
                          .local = true},
                         {.name = "api-1",
                          .ns = "prod",
                          .service_account = "api",
                          .addresses = {at("10.0.2.1:0").address},
                          .enrolled = true}};
  return snapshot;
}

inline tls::CredentialPtr credential_of(const test::TestCa& ca, const model::SpiffeId& id) {
  tls::KeyRing keys;
  const auto request = keys.request(id, 1);
  const auto issued = ca.sign(*request, {.uris = {id.to_string()}});
  return *keys.accept(id, 1, issued.chain_pem, base::SystemClock().wall_now());
}

// Time that the test may move on, so that nobody waits for it.
struct HurriedClock final : base::Clock {
  [[nodiscard]] base::Instant now() const override { return system.now() + ahead; }
  [[nodiscard]] base::WallTime wall_now() const override { return system.wall_now(); }
  base::SystemClock system;
  base::Nanos ahead{};
};

// Hands the far ends of its connections to a server, as the network would: those to the HBONE port. All others are
// plain ones and only counted.
struct Wire final : connect::Dialer {
  using Outcome = base::Result<std::unique_ptr<base::Transport>>;
  struct Done final : connect::Dial, base::IoHandler {
    Done(base::Loop& its_loop, connect::DialHandler& its_handler, Outcome its_end)
        : loop(its_loop), handler(its_handler), end(std::move(its_end)) {
      loop.again(this);
    }
    ~Done() override { loop.forget(this); }
    void on_io(uint32_t) override { handler.on_dialled(std::move(end)); }
    base::Loop& loop;
    connect::DialHandler& handler;
    Outcome end;
  };
  explicit Wire(base::Loop& its_loop) : loop(its_loop) {}
  std::unique_ptr<connect::Dial> dial(const connect::DialTarget& target, connect::DialHandler& handler) override {
    EXPECT_FALSE(target.identity) << "the TCP part names nobody";
    destination = target.destination;
    if (target.destination.port != hbone::kPort) {
      ++plain_dials;
      return std::make_unique<Done>(loop, handler, std::make_unique<test::FakeTransport>(plain));
    }
    ++dials;
    if (nobody_there)
      return std::make_unique<Done>(loop, handler,
                                    base::fail_errno(ECONNREFUSED, "connect", base::Side::kDestination));
    test::TransportPair pair;
    if (breaks) {
      pair.far->reset();
      return std::make_unique<Done>(loop, handler, std::move(pair.near));
    }
    server->serve({.pod = "prod/api-1",
                   .identity = server_identity,
                   .original = target.destination,
                   .peer = at("10.0.1.1:40000")},
                  std::move(pair.far));
    return std::make_unique<Done>(loop, handler, std::move(pair.near));
  }
  base::Loop& loop;
  TunnelServer* server = nullptr;
  model::SpiffeId server_identity = kApi;
  base::SocketAddress destination;
  bool nobody_there = false;  // the HBONE port refuses
  bool breaks = false;        // it is taken and reset
  int dials = 0;              // to the HBONE port
  int plain_dials = 0;
  test::FarEnd plain;
};

struct MeshTest : testing::Test, IdentityNeeds, TunnelServerOwner, connect::DialHandler {
  MeshTest() {
    wire.server = destination->server.get();
    learn(small());
  }
  ~MeshTest() override {
    dial.reset();
    outcome = {};
    request.reset();
    far.reset();
    turns();
  }
  void on_identity_needed(const model::SpiffeId& identity) override { needed.push_back(identity); }
  void on_tunnel_request(const TunnelArrival&, const model::SpiffeId& peer,
                         std::unique_ptr<hbone::InboundRequest> asked) override {
    proven = peer;
    request = std::move(asked);
  }
  void on_tunnel_refused(const TunnelArrival&, const model::SpiffeId*, observe::Flag flag,
                         std::string_view why) override {
    refused_flag = flag;
    refused.emplace_back(why);
  }
  void on_tunnel_closed() override { ++closed; }
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> result) override {
    told = true;
    outcome = std::move(result);
  }
  void learn(std::shared_ptr<const model::Snapshot> snapshot) {
    source->tunnels.set_config(Config::build(std::move(snapshot)));
  }
  void turns(int count = 60) {
    for (int i = 0; i < count; ++i) loop->turn(0);
  }
  void equip(Mesh& mesh, const model::SpiffeId& id) {
    ASSERT_TRUE(mesh.contexts->set_bundle(*tls::TrustBundle::parse(ca.certificate_pem(), 1)));
    ASSERT_TRUE(mesh.contexts->set(credential_of(ca, id)));
    mesh.waits.arrived();
  }
  void call() {
    dial = source->tunnels.dial({.pod = "dev/web-1",
                                 .destination = at("10.0.2.1:8080"),
                                 .identity = connect::PeerIdentity{"prod", "api"},
                                 .origin = connect::Origin{at("10.0.1.1:51000"), "api.prod.svc.cluster.local"}},
                                *this);
    turns();
  }
  std::unique_ptr<Mesh> make() {
    return *Mesh::create({.loop = *loop,
                          .counters = counters,
                          .plain = wire,
                          .identities = *this,
                          .arrivals = *this,
                          .tickets = tickets});
  }

  HurriedClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  observe::Counters counters;
  Wire wire{*loop};
  test::TestCa ca;
  const tls::TicketSecret tickets = *tls::TicketSecret::random();
  std::unique_ptr<Mesh> source = make(), destination = make();
  std::vector<model::SpiffeId> needed;
  std::vector<std::string> refused;
  observe::Flag refused_flag = observe::Flag::kNone;
  model::SpiffeId proven;
  int closed = 0;
  bool told = false;
  std::unique_ptr<hbone::InboundRequest> request;
  std::unique_ptr<base::Transport> far;
  base::Result<std::unique_ptr<base::Transport>> outcome;
  std::unique_ptr<connect::Dial> dial;
};

}  // namespace weft::worker
