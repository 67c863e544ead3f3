// The node's half against weft's own CA: tokens as the sandbox signs them, real TLS, gRPC and files; only the
// proxy is played.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "agent/ca/issue.h"
#include "agent/ca/jwks_authenticator.h"
#include "agent/ca/service.h"
#include "agent/certs/desk.h"
#include "agent/certs/grpc_ca_client.h"
#include "agent/certs/pem.h"
#include "agent/certs/trust_bundle.h"
#include "agent/sandbox/tokens.h"
#include "tests/support/scratch_dir.h"
#include "tests/unit/agent/certs/authority.h"

namespace weft::certs {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const model::SpiffeId kCart{"cluster.local", "shop", "cart"}, kPay{"cluster.local", "shop", "pay"};

model::Workload pod(const std::string& ns, const std::string& name, const std::string& account,
                    const std::string& node) {
  return {.name = name, .ns = ns, .service_account = account, .node = node, .uid = "uid-" + name};
}

model::SnapshotPtr cluster() {
  auto out = std::make_shared<model::Snapshot>();
  out->workloads = {pod("weft-system", "agent1", "weft-node", "node1"),
                    pod("shop", "cart-1", "cart", "node1"), pod("shop", "pay-1", "pay", "node2")};
  return out;
}

// weft's CA on loopback.
struct OurCa {
  OurCa() {
    EXPECT_TRUE(ca::write_file(dir / "jwks.json", tokens.jwks(), 0644));
    authenticator.refresh();
    authorizer.set_snapshot(cluster());
    const auto its_own = ca::issue_server(*authority->signer(), {"ca.test"}, hours(1), clock.wall_now());
    EXPECT_TRUE(its_own && server.set_certificate(its_own->chain_pem, its_own->key_pem));
    server.handle(std::string(ca_wire::kCreateCertificate),
                  [this](const grpc::Request& request) { return service.create(request); });
    EXPECT_TRUE(server.start());
  }
  static grpc::ServerOptions on_loopback() {
    grpc::ServerOptions options;
    options.listen = base::SocketAddress::parse("127.0.0.1:0").value();
    return options;
  }
  void write_token(const std::string& path, std::chrono::seconds life) const {
    const auto claims =
        sandbox::TokenIssuer::claims({"weft-system", "weft-node", "agent1", "uid-agent1", "node1"},
                                     "istio-ca", std::chrono::system_clock::now(), life);
    std::ofstream(path) << tokens.sign(claims).value();
  }

  test::ScratchDir dir;
  base::SystemClock clock;
  const sandbox::TokenIssuer tokens = sandbox::TokenIssuer::open(dir / "tokens").value();
  std::unique_ptr<ca::Authority> authority =
      ca::Authority::open(dir / "ca", "cluster.local", clock.wall_now()).value();
  ca::JwksAuthenticator authenticator{{.file = dir / "jwks.json", .rules = {.issuer = sandbox::kTokenIssuer}},
                                      clock};
  ca::NodeAuthorizer authorizer{{.node_accounts = {"weft-system/weft-node"}}};
  ca::CertificateService service{
      *authority, authenticator, authorizer, {seconds(120), seconds(86'400)}, clock};
  grpc::Server server{on_loopback()};
};

// One proxy; the CA is asked at once, in the test's thread.
struct Node final : DeskDoors {
  explicit Node(const OurCa& ca)
      : client({.address = std::make_shared<CaAddress>(ca.server.address().to_string()),
                .server_name = "ca.test",
                .token_file = ca.dir / "token"}),
        desk(*this, ca.clock, [] { return 0.5; }) {
    bundle_file = ca.dir / "ca" + "/root-cert.pem";
    std::ifstream file(bundle_file);
    const std::string pem{std::istreambuf_iterator<char>(file), {}};
    desk.set_roots(Roots::parse(pem).value(), true);
    desk.add_proxy(1);
  }
  void want_key(publish::ProxyId, const model::KeyWanted& wanted) override { keys.push_back(wanted); }
  void give_certificate(publish::ProxyId, const model::SpiffeId& identity, uint64_t,
                        std::string pem) override {
    chains[identity] = std::move(pem);
  }
  void tell_failure(publish::ProxyId, const model::CertificateFailed& failed) override {
    failures[failed.identity] = failed.reason;
  }
  void forget_identity(publish::ProxyId, const model::SpiffeId&) override {}
  void ask(Ask ask) override { asks.push_back(std::move(ask)); }

  void want(const std::set<model::SpiffeId>& identities) {
    desk.set_wanted(identities);
    desk.turn();
    for (const auto& wanted : std::exchange(keys, {})) {
      desk.take_request(1, {wanted.identity, wanted.key_id, request_for(*key)});
      desk.turn();
    }
    for (const auto& one : std::exchange(asks, {})) desk.take_answer(one.id, client.request(one));
  }

  GrpcCaClient client;
  Desk desk;
  grpc::KeyPtr key = new_key();
  std::string bundle_file;
  std::vector<model::KeyWanted> keys;
  std::vector<Ask> asks;
  std::map<model::SpiffeId, std::string> chains, failures;
};

TEST(WholeWay, a_pod_of_the_node_has_its_certificate_and_one_of_another_node_has_not) {
  OurCa ca;
  ca.write_token(ca.dir / "token", hours(1));
  Node node(ca);
  node.want({kCart, kPay});
  ASSERT_EQ(node.chains.size(), 1u) << node.failures[kCart];
  const auto chain = read_strict(node.chains[kCart], 8);
  ASSERT_TRUE(chain.has_value());
  EXPECT_EQ(chain->size(), 1u);  // no root among them
  EXPECT_FALSE(node.failures.contains(kPay)) << "it may still come: nobody is told yet";
  const auto statuses = node.desk.status();
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_NE(statuses[1].last_error.find("no such pod was seen yet"), std::string::npos) << statuses[1].last_error;
  EXPECT_EQ(ca.service.issued(), 1u);
}

TEST(WholeWay, a_certificate_of_two_minutes_is_not_renewed_at_once_though_it_is_dated_back) {
  OurCa ca;
  ca.write_token(ca.dir / "token", hours(1));
  Node node(ca);
  node.want({kCart});
  const auto status = node.desk.status().at(0);
  ASSERT_EQ(status.state, State::kValid);
  const auto now = ca.clock.wall_now();
  EXPECT_LE(status.not_after, now + seconds(121));
  EXPECT_GE(status.renew_at, now + seconds(30));
  EXPECT_LE(status.renew_at, now + seconds(80));
}

TEST(WholeWay, a_token_that_has_run_out_is_refused_and_the_next_one_in_the_file_is_taken) {
  OurCa ca;
  ca.write_token(ca.dir / "token", -hours(1));
  Node node(ca);
  node.want({kCart});
  EXPECT_NE(node.failures[kCart].find("UNAUTHENTICATED"), std::string::npos);
  ca.write_token(ca.dir / "token", hours(1));
  node.want({});
  node.want({kCart});
  EXPECT_TRUE(node.chains.contains(kCart));
}

// Another root's files in the CA's directory, with the bundle that it shall send.
void sign_with(OurCa& ca, const std::string& other, const std::string& bundle) {
  ASSERT_TRUE(ca::write_file(ca.dir / "ca" + "/root-cert.pem", bundle, 0644));
  for (const char* name : {"/ca-key.pem", "/cert-chain.pem", "/ca-cert.pem"})
    std::filesystem::copy_file(other + name, ca.dir / "ca" + name,
                               std::filesystem::copy_options::overwrite_existing);
  ASSERT_TRUE(ca.authority->refresh(ca.clock.wall_now()));
}

struct Rotation : testing::Test {
  void SetUp() override {
    ca.write_token(ca.dir / "token", hours(1));
    ASSERT_TRUE(ca::ensure_root(other, "cluster.local", ca.clock.wall_now()));
    old_root = ca::read_file(ca.dir / "ca" + "/root-cert.pem").value();
    new_root = ca::read_file(other + "/root-cert.pem").value();
  }
  // A certificate had anew.
  static void renew(Node& node) {
    node.want({});
    node.chains.clear();
    node.want({kCart});
  }

  OurCa ca;
  const std::string other = ca.dir / "other";
  std::string old_root, new_root;
};

// Both roots have the same name: what tells them apart is their key.
TEST_F(Rotation, of_the_root_in_the_safe_order_loses_nothing) {
  Node node(ca);
  node.want({kCart});
  ASSERT_TRUE(node.chains.contains(kCart));
  const auto both = Roots::parse(old_root + new_root).value();
  node.desk.set_roots(both, true);
  EXPECT_EQ(node.desk.counters().disbelieved, 0u);
  sign_with(ca, other, old_root + new_root);
  renew(node);
  ASSERT_TRUE(node.chains.contains(kCart)) << node.failures[kCart];
  const auto last = Roots::parse(new_root).value();
  EXPECT_TRUE(is_believed(node.chains[kCart], *last, ca.clock.wall_now()));
  const auto its_own = ca::issue_server(*ca.authority->signer(), {"ca.test"}, hours(1), ca.clock.wall_now());
  ASSERT_TRUE(ca.server.set_certificate(its_own->chain_pem, its_own->key_pem));
  node.desk.set_roots(last, true);
  EXPECT_EQ(node.desk.counters().disbelieved, 0u);
  renew(node);
  EXPECT_TRUE(node.chains.contains(kCart)) << node.failures[kCart];
  EXPECT_TRUE(node.failures.empty());
}

TEST_F(Rotation, of_the_root_in_the_wrong_order_fails_closed_and_says_why) {
  Node node(ca);
  sign_with(ca, other, old_root + new_root);
  node.want({kCart});
  EXPECT_TRUE(node.chains.empty());
  EXPECT_NE(node.failures[kCart].find("an authority that the trust bundle does not hold"), std::string::npos);
  node.desk.set_roots(Roots::parse(old_root + new_root).value(), true);
  renew(node);
  EXPECT_TRUE(node.chains.contains(kCart));
}

TEST(WholeWay, a_ca_that_is_not_below_the_bundle_gets_no_token) {
  OurCa ca, other;
  ca.write_token(ca.dir / "token", hours(1));
  Node node(ca);
  std::ifstream file(other.dir / "ca" + "/root-cert.pem");
  const std::string pem{std::istreambuf_iterator<char>(file), {}};
  node.desk.set_roots(Roots::parse(pem).value(), true);
  node.want({kCart});
  EXPECT_TRUE(node.chains.empty());
  EXPECT_EQ(ca.server.counters().calls, 0u);
  EXPECT_EQ(node.desk.counters().ask_failures[static_cast<size_t>(base::ErrorKind::kUntrusted)], 1u);
}

}  // namespace
}  // namespace weft::certs
