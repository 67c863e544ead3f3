#include "userspace-proxy/tls/key_ring.h"

#include <gtest/gtest.h>

#include "tests/support/tls_rig.h"
#include "tests/unit/proxy/tls/raw_peer.h"

namespace weft::tls {
namespace {

using base::ErrorKind;
using test::has;

struct KeyRingTest : testing::Test {
  // The authority's answer to a request, with the SANs of the request unless `spec` has its own.
  std::string signed_chain(const std::string& request, test::LeafSpec spec = {.uris = {}}) {
    if (spec.not_before == 0) spec.not_before = seconds - 300;
    if (spec.not_after == 0) spec.not_after = seconds + 3600;
    return ca.sign(request, spec).chain_pem;
  }
  std::string refusal(const std::string& chain) {
    auto outcome = ring.accept(id, 1, chain, clock.wall_now());
    return outcome ? "accepted" : base::describe(outcome.error());
  }
  test::FakeClock clock;
  int64_t seconds = clock.wall_now().time_since_epoch().count() / 1'000'000'000;
  test::TestCa ca;
  KeyRing ring;
  model::SpiffeId id = test::spiffe("spiffe://cluster.local/ns/shop/sa/a");
};

TEST_F(KeyRingTest, a_request_is_as_the_profile_says) {
  const auto der = ring.request(id, 1).value();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Owned<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  ASSERT_TRUE(request);
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  EXPECT_EQ(X509_REQ_verify(request.get(), key), 1);
  char group[32];
  EXPECT_EQ(EVP_PKEY_get_group_name(key, group, sizeof group, nullptr), 1);
  EXPECT_STREQ(group, "prime256v1");
  EXPECT_EQ(X509_REQ_get_signature_nid(request.get()), NID_ecdsa_with_SHA256);
  EXPECT_EQ(X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())), 0);
  auto* extensions = X509_REQ_get_extensions(request.get());
  ASSERT_EQ(sk_X509_EXTENSION_num(extensions), 1);
  EXPECT_EQ(X509_EXTENSION_get_critical(sk_X509_EXTENSION_value(extensions, 0)), 1);
  int critical = 0;
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, nullptr)));
  ASSERT_EQ(sk_GENERAL_NAME_num(names.get()), 1);
  const auto* uri = sk_GENERAL_NAME_value(names.get(), 0)->d.uniformResourceIdentifier;
  EXPECT_EQ(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), id.to_string());
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

TEST_F(KeyRingTest, an_identity_with_commas_cannot_smuggle_a_second_name_into_its_request) {
  id.service_account = "a,URI:spiffe://cluster.local/ns/shop/sa/b";
  const auto chain = *parse_certificates(signed_chain(ring.request(id, 1).value()), 1);
  EXPECT_FALSE(identity_of(chain[0].get()));  // one URI, and it is no SPIFFE id of our form
  EXPECT_FALSE(has(identity_of(chain[0].get()).error().what, "more than one"));
}

TEST_F(KeyRingTest, a_signed_chain_becomes_a_credential_once) {
  const auto chain = signed_chain(ring.request(id, 7).value());
  const auto made = ring.accept(id, 7, chain, clock.wall_now());
  ASSERT_TRUE(made) << made.error().what;
  EXPECT_EQ((*made)->id, id);
  EXPECT_EQ((*made)->key_id, 7u);
  EXPECT_EQ((*made)->not_after, base::WallTime(std::chrono::seconds(seconds + 3600)));
  EXPECT_EQ(X509_check_private_key((*made)->leaf.get(), (*made)->key.get()), 1);
  EXPECT_FALSE((*made)->serial.empty());
  EXPECT_EQ(ring.pending(), 0u);
  EXPECT_EQ(ring.accept(id, 7, chain, clock.wall_now()).error().kind, ErrorKind::kNotFound);
}

TEST_F(KeyRingTest, every_key_is_a_fresh_one) {
  const auto first = *parse_certificates(signed_chain(ring.request(id, 1).value()), 1);
  const auto second = *parse_certificates(signed_chain(ring.request(id, 2).value()), 1);
  EXPECT_NE(EVP_PKEY_eq(X509_get0_pubkey(first[0].get()), X509_get0_pubkey(second[0].get())), 1);
}

TEST_F(KeyRingTest, a_newer_key_replaces_one_that_waits_and_an_older_one_is_refused) {
  const auto old_chain = signed_chain(ring.request(id, 5).value());
  EXPECT_EQ(ring.request(id, 5).error().kind, ErrorKind::kConflict);
  EXPECT_EQ(ring.request(id, 4).error().kind, ErrorKind::kConflict);
  const auto chain = signed_chain(ring.request(id, 6).value());
  EXPECT_EQ(ring.accept(id, 5, old_chain, clock.wall_now()).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(has(base::describe(ring.accept(id, 6, old_chain, clock.wall_now()).error()), "it is for another key"));
  EXPECT_TRUE(ring.accept(id, 6, chain, clock.wall_now()));
}

TEST_F(KeyRingTest, a_chain_that_does_not_fit_is_refused_with_a_reason_and_the_key_waits_on) {
  const auto request = ring.request(id, 1).value();
  const auto good = signed_chain(request);
  EXPECT_TRUE(has(refusal(signed_chain(request, {.uris = {"spiffe://cluster.local/ns/shop/sa/b"}})), "it is for spiffe"));
  EXPECT_TRUE(has(refusal(signed_chain(request, {.uris = {id.to_string(), id.to_string()}})), "more than one URI SAN"));
  EXPECT_TRUE(has(refusal(signed_chain(request, {.uris = {}, .extended_key_usage = "serverAuth"})), "lacks"));
  EXPECT_TRUE(has(refusal(signed_chain(request, {.uris = {}, .not_before = seconds + 10})), "not yet valid"));
  EXPECT_TRUE(has(refusal(signed_chain(request, {.uris = {}, .not_after = seconds})), "expired"));
  EXPECT_TRUE(has(refusal(""), "no certificate in it"));
  EXPECT_TRUE(has(refusal("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "not exactly one X.509"));
  EXPECT_TRUE(has(refusal(good + "-----BEGIN EC PRIVATE KEY-----\n"), "no certificate"));
  EXPECT_TRUE(has(refusal(good.substr(0, good.size() / 2)), "without an end"));
  std::string nine;
  for (int i = 0; i < 9; ++i) nine += good;
  EXPECT_TRUE(has(refusal(nine), "more than 8"));
  EXPECT_TRUE(has(refusal(std::string(300'000, ' ') + good), "too large"));
  EXPECT_EQ(refusal(good), "accepted");
}

TEST_F(KeyRingTest, two_certificates_in_one_block_are_refused) {
  const auto good = signed_chain(ring.request(id, 1).value());
  const auto der = der_of((*parse_certificates(good, 1))[0].get());
  EXPECT_FALSE(certificate_of(der + der));
  EXPECT_TRUE(certificate_of(der));
}

TEST_F(KeyRingTest, intermediates_are_kept_and_the_root_is_not) {
  ca = ca.intermediate("middle");
  const auto request = ring.request(id, 1).value();
  const test::TestCa other;
  const auto made = ring.accept(id, 1, signed_chain(request) + other.certificate_pem(), clock.wall_now());
  ASSERT_TRUE(made) << made.error().what;
  EXPECT_EQ((*made)->intermediates.size(), 1u);
}

TEST_F(KeyRingTest, a_forgotten_identity_has_no_key) {
  const auto chain = signed_chain(ring.request(id, 1).value());
  ring.forget(id);
  EXPECT_EQ(ring.pending(), 0u);
  EXPECT_EQ(ring.accept(id, 1, chain, clock.wall_now()).error().kind, ErrorKind::kNotFound);
}

TEST_F(KeyRingTest, the_number_of_keys_that_wait_is_bounded) {
  for (size_t i = 0; i < KeyRing::kMaxPending; ++i) {
    id.service_account = "a" + std::to_string(i);
    ASSERT_TRUE(ring.request(id, 1));
  }
  id.service_account = "one-more";
  EXPECT_EQ(ring.request(id, 1).error().kind, ErrorKind::kLimit);
}

TEST(TrustBundle, several_roots_are_one_bundle_and_twins_count_once) {
  const test::TestCa one("one"), two("two");
  const auto bundle = TrustBundle::parse("# ours\n" + one.certificate_pem() + two.certificate_pem() + one.certificate_pem(), 9);
  ASSERT_TRUE(bundle);
  EXPECT_EQ((*bundle)->roots().size(), 2u);
  EXPECT_EQ((*bundle)->generation(), 9u);
  EXPECT_TRUE((*bundle)->warnings().empty());
  const auto less = test::bundle_of(two.certificate_pem(), 10);
  EXPECT_TRUE((*bundle)->covers(*less));
  EXPECT_FALSE(less->covers(**bundle));
}

TEST(TrustBundle, what_is_empty_or_broken_is_refused_whole) {
  const test::TestCa one;
  EXPECT_TRUE(has(TrustBundle::parse("", 1).error().what, "no certificate in it"));
  EXPECT_TRUE(has(TrustBundle::parse("nothing here", 1).error().what, "no certificate in it"));
  EXPECT_TRUE(has(TrustBundle::parse(one.certificate_pem() + "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 1)
                      .error().what, "PEM block 2 is not exactly one X.509 certificate"));
  EXPECT_TRUE(has(TrustBundle::parse(one.certificate_pem() + one.key_pem(), 1).error().what, "is no certificate"));
  EXPECT_TRUE(has(TrustBundle::parse("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", 1).error().what, "base64"));
  std::string many;
  for (size_t i = 0; i <= TrustBundle::kMaxRoots; ++i) many += one.certificate_pem();
  EXPECT_EQ(TrustBundle::parse(many, 1).error().kind, base::ErrorKind::kLimit);
  EXPECT_EQ(TrustBundle::parse(std::string(TrustBundle::kMaxBytes + 1, ' '), 1).error().kind, base::ErrorKind::kLimit);
}

TEST(TrustBundle, a_certificate_that_cannot_be_an_anchor_is_skipped_with_a_warning) {
  const test::TestCa one;
  const auto leaf = one.issue();
  const auto bundle = TrustBundle::parse(leaf.certificate_pem + one.certificate_pem(), 1);
  ASSERT_TRUE(bundle);
  EXPECT_EQ((*bundle)->roots().size(), 1u);
  ASSERT_EQ((*bundle)->warnings().size(), 1u);
  EXPECT_EQ((*bundle)->warnings()[0], "trust bundle: certificate 1 skipped: it is no CA certificate");
  EXPECT_TRUE(has(TrustBundle::parse(leaf.certificate_pem, 1).error().what, "no certificate in it can be a root"));
}

}  // namespace
}  // namespace weft::tls
