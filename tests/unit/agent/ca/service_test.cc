// Who gets which certificate: the authorizer's rows, and whole calls over gRPC and TLS.
#include <gtest/gtest.h>

#include "agent/ca/certificate.h"
#include "agent/ca/jwks_authenticator.h"
#include "agent/ca/service.h"
#include "agent/grpc/client.h"
#include "tests/support/ca_requests.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/test_ca.h"

using namespace weft;
using namespace weft::ca;
using std::chrono::seconds;

namespace {

model::Workload pod(const std::string& ns, const std::string& name, const std::string& account, const std::string& node) {
  model::Workload out;
  out.ns = ns;
  out.name = name;
  out.service_account = account;
  out.node = node;
  out.uid = "uid-" + name;
  return out;
}

model::SnapshotPtr two_nodes() {
  auto out = std::make_shared<model::Snapshot>();
  out->workloads = {pod("weft-system", "agent1", "weft-node", "node1"), pod("weft-system", "agent2", "weft-node", "node2"),
                    pod("shop", "cart-1", "cart", "node1"), pod("shop", "pay-1", "pay", "node2"),
                    pod("shop", "nowhere", "unscheduled", "")};
  return out;
}

const Caller kAgent1{"weft-system", "weft-node", "agent1", "uid-agent1", "node1"};

class Authorize : public testing::Test {
 protected:
  Authorize() { authorizer_.set_snapshot(two_nodes()); }
  // "ok" or the word for the refusal.
  std::string said(const Caller& caller, std::string_view asked) const {
    const auto identity = authorizer_.authorize(caller, asked);
    if (!identity) return std::string(name_of(identity.error().reason));
    EXPECT_TRUE(asked.empty() || identity->to_string() == asked);
    return "ok";
  }
  NodeAuthorizer authorizer_{{.node_accounts = {"weft-system/weft-node"}}};
};

TEST_F(Authorize, a_node_agent_may_have_the_identities_of_its_node) {
  EXPECT_EQ(said(kAgent1, "spiffe://cluster.local/ns/shop/sa/cart"), "ok");
  EXPECT_EQ(said(kAgent1, "spiffe://cluster.local/ns/weft-system/sa/weft-node"), "ok");
  EXPECT_EQ(said(kAgent1, "spiffe://cluster.local/ns/shop/sa/pay"), "not_on_node");
  EXPECT_EQ(said(kAgent1, "spiffe://cluster.local/ns/shop/sa/unscheduled"), "not_on_node");
  EXPECT_EQ(said(kAgent1, "spiffe://cluster.local/ns/other/sa/cart"), "not_on_node");
}

TEST_F(Authorize, the_trust_domain_is_held_to) {
  EXPECT_EQ(said(kAgent1, "spiffe://elsewhere/ns/shop/sa/cart"), "trust_domain");
}

TEST_F(Authorize, what_is_no_identity_is_refused) {
  for (const char* asked : {"cart", "spiffe://cluster.local/ns/shop/sa/cart/x", "spiffe://cluster.local/ns//sa/cart", "SPIFFE://cluster.local/ns/shop/sa/cart"})
    EXPECT_EQ(said(kAgent1, asked), "identity") << asked;
}

TEST_F(Authorize, the_callers_pod_must_be_there_as_its_token_says) {
  const std::string cart = "spiffe://cluster.local/ns/shop/sa/cart";
  auto caller = kAgent1;
  caller.pod = "agent9";
  EXPECT_EQ(said(caller, cart), "caller_unknown");
  caller = kAgent1;
  caller.pod_uid = "uid-of-before";
  EXPECT_EQ(said(caller, cart), "caller_changed");
  caller = kAgent1;
  caller.node = "node2";
  EXPECT_EQ(said(caller, cart), "caller_changed");
  // The pod is there, with another account than the token's.
  EXPECT_EQ(said({"weft-system", "admin", "agent1", "uid-agent1", "node1"}, ""), "caller_changed");
  caller = kAgent1;
  caller.node.clear();  // an issuer that does not say: the pod's own node counts
  EXPECT_EQ(said(caller, cart), "ok");
  EXPECT_EQ(said(caller, "spiffe://cluster.local/ns/shop/sa/pay"), "not_on_node");
}

TEST_F(Authorize, others_have_their_own_identity_and_no_other) {
  const Caller cart{"shop", "cart", "cart-1", "uid-cart-1", "node1"};
  EXPECT_EQ(authorizer_.authorize(cart, "").value().to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
  EXPECT_EQ(said(cart, "spiffe://cluster.local/ns/shop/sa/cart"), "ok");
  EXPECT_EQ(said(cart, "spiffe://cluster.local/ns/weft-system/sa/weft-node"), "not_trusted");
}

TEST_F(Authorize, nothing_is_said_before_the_first_look_and_old_looks_are_forgotten) {
  const NodeAuthorizer blind{{.node_accounts = {"weft-system/weft-node"}}};
  EXPECT_EQ(blind.authorize(kAgent1, "").error().reason, Reason::kNotReady);
  authorizer_.set_snapshot(std::make_shared<model::Snapshot>());
  EXPECT_EQ(said(kAgent1, ""), "caller_unknown");
}

class Service : public testing::Test {
 protected:
  Service() {
    authority_ = Authority::open(dir_ / "ca", "cluster.local", clock_.wall_now()).value();
    EXPECT_TRUE(write_file(dir_ / "jwks.json", issuer_.jwks(), 0644));
    authenticator_.refresh();
    authorizer_.set_snapshot(two_nodes());
    service_ = std::make_unique<CertificateService>(*authority_, authenticator_, authorizer_, Validity{seconds(120), seconds(86'400)}, clock_);
  }
  std::string token(const Caller& c) const {
    return issuer_.sign(sandbox::TokenIssuer::claims({c.ns, c.service_account, c.pod, c.pod_uid, c.node}, "istio-ca", std::chrono::system_clock::now(), std::chrono::hours(1))).value();
  }
  std::string message(const std::string& csr, const std::string& identity, int64_t seconds = 0) const {
    ca_wire::CertificateRequest out;
    out.set_csr(csr);
    out.set_validity_duration(seconds);
    if (!identity.empty())
      (*out.mutable_metadata()->mutable_fields())[std::string(ca_wire::kImpersonatedIdentity)].set_string_value(identity);
    return out.SerializeAsString();
  }
  grpc::Answer ask(const std::string& token, const std::string& body) {
    return service_->create({std::string(ca_wire::kCreateCertificate), {{"authorization", "Bearer " + token}}, body, "10.0.0.1:1"});
  }
  static std::vector<std::string> chain(const std::string& response) {
    ca_wire::CertificateResponse out;
    EXPECT_TRUE(out.ParseFromString(response));
    return {out.cert_chain().begin(), out.cert_chain().end()};
  }

  test::ScratchDir dir_;
  base::SystemClock clock_;
  const sandbox::TokenIssuer issuer_ = sandbox::TokenIssuer::open(dir_ / "tokens").value();
  std::unique_ptr<Authority> authority_;
  JwksAuthenticator authenticator_{{.file = dir_ / "jwks.json", .rules = {.issuer = sandbox::kTokenIssuer}}, clock_};
  NodeAuthorizer authorizer_{{.node_accounts = {"weft-system/weft-node"}}};
  std::unique_ptr<CertificateService> service_;
  const grpc::KeyPtr key_ = test::ec_key();
  const std::string cart_ = "spiffe://cluster.local/ns/shop/sa/cart";
};

TEST_F(Service, answers_with_a_leaf_of_the_asked_key_and_the_bundle) {
  // Names in the request are the caller's wishes: none of them comes back.
  const auto csr = test::make_csr(*key_, "URI:spiffe://cluster.local/ns/kube-system/sa/admin,DNS:evil", EVP_sha256(), "admin");
  const auto answer = ask(token(kAgent1), message(csr, cart_));
  ASSERT_TRUE(answer) << answer.error().message;
  const auto parts = chain(*answer);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[1], authority_->signer()->roots_pem);
  const auto leaf = std::move(grpc::read_certificates(parts[0]).value()[0]);
  EXPECT_EQ(EVP_PKEY_eq(X509_get0_pubkey(leaf.get()), key_.get()), 1);
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(leaf.get())), 0);
  auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf.get(), NID_subject_alt_name, nullptr, nullptr));
  EXPECT_EQ(sk_GENERAL_NAME_num(names), 1);
  GENERAL_NAMES_free(names);
  const auto life = wall_time_of(*X509_get0_notAfter(leaf.get())) - wall_time_of(*X509_get0_notBefore(leaf.get()));
  EXPECT_EQ(life, seconds(240));
  EXPECT_EQ(service_->issued(), 1u);
}

TEST_F(Service, an_intermediate_travels_in_its_own_element) {
  const test::TestCa root("root"), old_root("old"), middle = root.intermediate("middle");
  const CaFiles files(dir_ / "ca");
  ASSERT_TRUE(write_file(files.roots, root.certificate_pem() + old_root.certificate_pem(), 0644));
  ASSERT_TRUE(write_file(files.chain, middle.certificate_pem(), 0644));
  ASSERT_TRUE(write_file(files.key, middle.key_pem(), 0600));
  ASSERT_TRUE(write_file(files.certificate, middle.certificate_pem(), 0644));
  ASSERT_TRUE(authority_->refresh(clock_.wall_now())) << authority_->problem();
  const auto parts = chain(ask(token(kAgent1), message(test::make_csr(*key_), cart_)).value());
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[1], middle.certificate_pem());
  EXPECT_EQ(parts[2], root.certificate_pem() + old_root.certificate_pem());
}

TEST_F(Service, refusals_are_opaque_to_the_caller_and_counted_by_reason) {
  const std::string csr = test::make_csr(*key_);
  std::string spoilt = token(kAgent1);
  spoilt[spoilt.size() / 2] ^= 1;
  auto changed = kAgent1;
  changed.pod_uid = "other";
  const std::vector<grpc::Answer> answers = {
      ask("", message(csr, cart_)), ask(spoilt, message(csr, cart_)), ask(token(changed), message(csr, cart_)),
      ask(token({"shop", "cart", "cart-1", "uid-cart-1", "node1"}), message(csr, "spiffe://cluster.local/ns/shop/sa/pay"))};
  for (const auto& answer : answers) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, grpc::Code::kUnauthenticated);
    EXPECT_EQ(answer.error().message, answers[0].error().message);
  }
  for (const Reason reason : {Reason::kNoToken, Reason::kCallerChanged, Reason::kNotTrusted})
    EXPECT_EQ(service_->refusals().of(reason), 1u) << name_of(reason);
  EXPECT_EQ(service_->issued(), 0u);
}

TEST_F(Service, who_asks_for_a_pod_that_was_not_seen_yet_shall_come_again_and_does_not_learn_whether_it_is_elsewhere) {
  const std::string csr = test::make_csr(*key_);
  auto unseen = kAgent1;
  unseen.pod = "weft-agent-to-come";
  const std::vector<grpc::Answer> answers = {
      ask(token(kAgent1), message(csr, "spiffe://cluster.local/ns/shop/sa/pay")),      // on another node
      ask(token(kAgent1), message(csr, "spiffe://cluster.local/ns/shop/sa/nobody")),  // nowhere
      ask(token(unseen), message(csr, cart_))};
  for (const auto& answer : answers) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, grpc::Code::kUnavailable);
    EXPECT_EQ(answer.error().message, answers[0].error().message);
  }
  EXPECT_EQ(service_->refusals().of(Reason::kNotOnNode), 2u);
  EXPECT_EQ(service_->refusals().of(Reason::kCallerUnknown), 1u);
  // Whose token is not proven learns nothing, whatever he asks for.
  std::string spoilt = token(kAgent1);
  spoilt[spoilt.size() / 2] ^= 1;
  EXPECT_EQ(ask(spoilt, message(csr, "spiffe://cluster.local/ns/shop/sa/nobody")).error().code,
            grpc::Code::kUnauthenticated);
  EXPECT_EQ(service_->issued(), 0u);
}

TEST_F(Service, a_wrong_request_of_a_right_caller_is_an_invalid_argument) {
  const std::string csr = test::make_csr(*key_);
  const std::vector<std::pair<std::string, Reason>> rows = {
      {message("no csr", cart_), Reason::kRequestMalformed},
      {message(csr, cart_, 86'401), Reason::kValidity},
      {message(test::make_csr(*test::ec_key("P-521")), cart_), Reason::kRequestKey},
      {"\xff\xff\xff", Reason::kRequestMalformed}};
  for (const auto& [body, reason] : rows) {
    const uint64_t before = service_->refusals().of(reason);
    const auto answer = ask(token(kAgent1), body);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, grpc::Code::kInvalidArgument) << name_of(reason);
    EXPECT_EQ(service_->refusals().of(reason), before + 1);
  }
}

TEST_F(Service, two_authorization_headers_are_refused) {
  const auto answer = service_->create({std::string(ca_wire::kCreateCertificate),
                                        {{"authorization", "Bearer " + token(kAgent1)}, {"authorization", "Bearer x"}},
                                        message(test::make_csr(*key_), cart_), "10.0.0.1:1"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(service_->refusals().of(Reason::kTokenMalformed), 1u);
}

TEST_F(Service, a_whole_call_over_tls_that_the_ca_itself_vouches_for) {
  const auto identity = issue_server(*authority_->signer(), {"weft-control.weft-system.svc"}, seconds(600), clock_.wall_now()).value();
  grpc::ServerOptions options;
  options.listen = base::SocketAddress::parse("127.0.0.1:0").value();
  grpc::Server server(options);
  ASSERT_TRUE(server.set_certificate(identity.chain_pem, identity.key_pem));
  server.handle(std::string(ca_wire::kCreateCertificate), [&](const grpc::Request& request) { return service_->create(request); });
  ASSERT_TRUE(server.start());
  const grpc::Target target{server.address().to_string(), authority_->signer()->roots_pem, "weft-control.weft-system.svc"};
  grpc::Call call{.path = std::string(ca_wire::kCreateCertificate),
                  .headers = {{"authorization", "Bearer " + token(kAgent1)}, {"clusterid", "Kubernetes"}},
                  .message = message(test::make_csr(*key_), cart_, 3600)};
  const auto reply = grpc::call(target, call);
  ASSERT_TRUE(reply) << base::describe(reply.error());
  EXPECT_EQ(chain(*reply).size(), 2u);
  call.headers[1].second = "elsewhere";
  EXPECT_EQ(grpc::call(target, call).error().code, grpc::Code::kUnauthenticated);
}

TEST(LogLimit, says_ten_lines_a_second_and_counts_the_rest) {
  LogLimit limit;
  base::Instant now{seconds(100)};
  int said = 0;
  for (int i = 0; i < 100; ++i) said += limit.allow(now);
  EXPECT_EQ(said, 10);
  EXPECT_EQ(limit.unsaid(), 90u);
  EXPECT_TRUE(limit.allow(now + seconds(1)));
}

}  // namespace
