#include "userspace-proxy/worker/identities.h"

#include <gtest/gtest.h>

#include "tests/support/test_ca.h"

namespace weft::worker {
namespace {

const model::SpiffeId kWeb{"cluster.local", "dev", "web"};

struct Outlet final : IdentityOutlet {
  void request_certificate(const model::CertificateRequest& request) override { requests.push_back(request); }
  void spread(const tls::CredentialPtr& credential) override { credentials.push_back(credential); }
  void spread(const tls::TrustBundlePtr& bundle) override { bundles.push_back(bundle); }
  void spread_failure(const model::SpiffeId&, const std::string& reason) override { failures.push_back(reason); }
  void withdraw(const model::SpiffeId& identity) override { withdrawn.push_back(identity); }
  std::vector<model::CertificateRequest> requests;
  std::vector<tls::CredentialPtr> credentials;
  std::vector<tls::TrustBundlePtr> bundles;
  std::vector<std::string> failures;
  std::vector<model::SpiffeId> withdrawn;
};

struct IdentitiesTest : testing::Test {
  double value(const std::string& name) {
    std::vector<observe::ProcessValue> all;
    identities.metrics(all);
    for (const auto& one : all)
      if (one.name == name) return one.value;
    return -1;
  }
  void certify(uint64_t key_id, const std::string& uri) {
    identities.on_key_wanted({kWeb, key_id});
    const auto issued = ca.sign(outlet.requests.back().request, {.uris = {uri}});
    identities.on_certificate({kWeb, key_id, issued.chain_pem.size()}, issued.chain_pem);
  }

  base::SystemClock clock;
  test::TestCa ca;
  Outlet outlet;
  Identities identities{clock, outlet};
};

TEST_F(IdentitiesTest, a_key_that_is_wanted_becomes_a_request_and_its_certificate_a_credential) {
  certify(7, kWeb.to_string());
  ASSERT_EQ(outlet.requests.size(), 1u);
  EXPECT_EQ(outlet.requests[0].key_id, 7u);
  ASSERT_EQ(outlet.credentials.size(), 1u);
  EXPECT_EQ(outlet.credentials[0]->id, kWeb);
  EXPECT_EQ(outlet.credentials[0]->key_id, 7u);
  EXPECT_GT(value("weft_proxy_certificate_expiry_seconds"), 3000);
  EXPECT_EQ(value("weft_proxy_certificates_taken_total"), 1);
}

TEST_F(IdentitiesTest, a_certificate_of_somebody_else_is_refused_and_named_as_the_last_error) {
  certify(1, "spiffe://cluster.local/ns/dev/sa/other");
  EXPECT_TRUE(outlet.credentials.empty());
  EXPECT_EQ(value("weft_proxy_credentials_refused_total"), 1);
  EXPECT_EQ(value("weft_proxy_certificate_last_error"), 1);
  certify(2, kWeb.to_string());
  EXPECT_EQ(outlet.credentials.size(), 1u);
  EXPECT_EQ(value("weft_proxy_certificate_last_error"), -1) << "forgotten by success";
}

TEST_F(IdentitiesTest, a_failure_reaches_whoever_waits_and_does_not_take_the_certificate_away) {
  certify(1, kWeb.to_string());
  identities.on_certificate_failed({kWeb, "the CA is away"});
  ASSERT_EQ(outlet.failures.size(), 1u);
  EXPECT_EQ(outlet.failures[0], "the CA is away");
  EXPECT_GT(value("weft_proxy_certificate_expiry_seconds"), 3000);
  EXPECT_TRUE(outlet.withdrawn.empty());
}

TEST_F(IdentitiesTest, an_identity_that_is_gone_is_withdrawn_and_has_no_series_any_more) {
  certify(1, kWeb.to_string());
  identities.on_identity_gone(kWeb);
  EXPECT_EQ(outlet.withdrawn.size(), 1u);
  EXPECT_EQ(value("weft_proxy_certificate_expiry_seconds"), -1);
}

TEST_F(IdentitiesTest, a_broken_bundle_is_refused_and_the_last_good_one_stays) {
  identities.on_trust_bundle(3, ca.certificate_pem());
  identities.on_trust_bundle(4, "not a certificate");
  identities.on_trust_bundle(5, "");
  ASSERT_EQ(outlet.bundles.size(), 1u);
  EXPECT_EQ(outlet.bundles[0]->generation(), 3u);
  EXPECT_EQ(value("weft_proxy_trust_bundle_generation"), 3);
  EXPECT_EQ(value("weft_proxy_credentials_refused_total"), 2);
}

}  // namespace
}  // namespace weft::worker
