// The profile of issued certificates, read back with OpenSSL's own functions.
#include <gtest/gtest.h>

#include "agent/ca/certificate.h"
#include "agent/ca/csr.h"
#include "agent/ca/issue.h"
#include "tests/support/ca_requests.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/test_ca.h"

using namespace weft;
using namespace weft::ca;
using std::chrono::seconds;

namespace {

const model::SpiffeId kShop{"cluster.local", "shop", "cart"};

class Issue : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
    signer_ = read_signer(CaFiles(dir_.path()), now_).value();
  }
  grpc::CertificatePtr leaf(seconds validity = seconds(3600)) const {
    const auto key = test::ec_key();
    return parse(issue_workload(*signer_, kShop, *key, validity, now_).value());
  }
  static grpc::CertificatePtr parse(const std::string& pem) {
    auto list = grpc::read_certificates(pem).value();
    EXPECT_EQ(list.size(), 1u);
    return std::move(list[0]);
  }
  static int critical(const X509& certificate, int nid) {
    const int at = X509_get_ext_by_NID(&certificate, nid, -1);
    return at < 0 ? -1 : X509_EXTENSION_get_critical(X509_get_ext(&certificate, at));
  }

  test::ScratchDir dir_;
  const base::WallTime now_ = std::chrono::floor<seconds>(base::SystemClock().wall_now());
  SignerPtr signer_;
};

TEST_F(Issue, a_leaf_keeps_to_the_profile) {
  const auto certificate = leaf();
  EXPECT_EQ(X509_get_version(certificate.get()), X509_VERSION_3);
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(certificate.get())), 0);
  EXPECT_EQ(critical(*certificate, NID_subject_alt_name), 1);
  auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, 0);
  ASSERT_EQ(name->type, GEN_URI);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
                        static_cast<size_t>(ASN1_STRING_length(name->d.uniformResourceIdentifier))),
            "spiffe://cluster.local/ns/shop/sa/cart");
  GENERAL_NAMES_free(names);
  EXPECT_EQ(critical(*certificate, NID_key_usage), 1);
  EXPECT_EQ(X509_get_key_usage(certificate.get()), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT));
  EXPECT_EQ(X509_get_extended_key_usage(certificate.get()), static_cast<uint32_t>(XKU_SSL_SERVER | XKU_SSL_CLIENT));
  EXPECT_EQ(X509_check_ca(certificate.get()), 0);
  EXPECT_EQ(X509_verify(certificate.get(), signer_->key.get()), 1);
  EXPECT_NE(X509_get0_authority_key_id(certificate.get()), nullptr);
  EXPECT_EQ(X509_get_signature_nid(certificate.get()), NID_ecdsa_with_SHA256);
  EXPECT_EQ(wall_time_of(*X509_get0_notBefore(certificate.get())), now_ - seconds(120));
  EXPECT_EQ(wall_time_of(*X509_get0_notAfter(certificate.get())), now_ + seconds(3600));
}

TEST_F(Issue, serials_differ_and_are_long) {
  const auto a = leaf(), b = leaf();
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(a.get()), X509_get0_serialNumber(b.get())), 0);
  EXPECT_EQ(ASN1_STRING_length(X509_get0_serialNumber(a.get())), 16);
}

TEST_F(Issue, a_leaf_ends_no_later_than_its_signer) {
  const auto certificate = leaf(seconds(20LL * 365 * 86400));
  EXPECT_EQ(wall_time_of(*X509_get0_notAfter(certificate.get())), signer_->not_after);
}

TEST_F(Issue, an_expired_signer_refuses) {
  const auto key = test::ec_key();
  const auto late = issue_workload(*signer_, kShop, *key, seconds(60), signer_->not_after);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, Reason::kNotReady);
}

TEST_F(Issue, an_identity_cannot_smuggle_a_second_name) {
  const auto key = test::ec_key();
  for (const char* account : {"cart,DNS:evil", "cart@x", "a/b", ""}) {
    const auto leaf = issue_workload(*signer_, {"cluster.local", "shop", account}, *key, seconds(60), now_);
    ASSERT_FALSE(leaf) << account;
    EXPECT_EQ(leaf.error().reason, Reason::kIdentity);
  }
}

TEST_F(Issue, a_server_has_its_names_and_no_client_usage) {
  const auto server = issue_server(*signer_, {"weft-control.weft-system.svc", "10.0.0.1", "fd00::1"}, seconds(60), now_).value();
  const auto certificate = parse(server.chain_pem);
  EXPECT_EQ(X509_check_host(certificate.get(), "weft-control.weft-system.svc", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "other", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "fd00::1", 0), 1);
  EXPECT_EQ(X509_get_extended_key_usage(certificate.get()), static_cast<uint32_t>(XKU_SSL_SERVER));
  EXPECT_EQ(X509_check_private_key(certificate.get(), grpc::read_private_key(server.key_pem).value().get()), 1);
  for (const char* bad : {"", "a,DNS:b", "a b", "@section"}) EXPECT_FALSE(issue_server(*signer_, {bad}, seconds(60), now_)) << bad;
  EXPECT_FALSE(issue_server(*signer_, {}, seconds(60), now_));
}

TEST(Validity, has_a_default_and_a_longest) {
  const Validity limits{.standard = seconds(120), .longest = seconds(86'400)};
  EXPECT_EQ(validity_of(0, limits).value(), seconds(120));
  EXPECT_EQ(validity_of(-5, limits).value(), seconds(120));
  EXPECT_EQ(validity_of(86'400, limits).value(), seconds(86'400));
  EXPECT_EQ(validity_of(86'401, limits).error().reason, Reason::kValidity);
  EXPECT_EQ(validity_of(INT64_MAX, limits).error().reason, Reason::kValidity);
}

Reason csr_refusal(const std::string& pem) {
  const auto key = read_requested_key(pem);
  EXPECT_FALSE(key);
  return key ? Reason::kNoToken : key.error().reason;
}

TEST(Csr, usual_keys_are_taken) {
  for (const char* curve : {"P-256", "P-384"}) EXPECT_TRUE(read_requested_key(test::make_csr(*test::ec_key(curve)))) << curve;
  EXPECT_TRUE(read_requested_key(test::make_csr(*grpc::KeyPtr(EVP_RSA_gen(2048)), "URI:spiffe://x/y", EVP_sha512())));
  const auto key = test::ec_key();
  EXPECT_EQ(EVP_PKEY_eq(read_requested_key(test::make_csr(*key)).value().get(), key.get()), 1);
}

TEST(Csr, other_keys_are_refused) {
  EXPECT_EQ(csr_refusal(test::make_csr(*test::ec_key("P-521"))), Reason::kRequestKey);
  EXPECT_EQ(csr_refusal(test::make_csr(*test::ec_key("secp256k1"))), Reason::kRequestKey);
  EXPECT_EQ(csr_refusal(test::make_csr(*grpc::KeyPtr(EVP_RSA_gen(1024)))), Reason::kRequestKey);
  const grpc::KeyPtr edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  EXPECT_EQ(csr_refusal(test::make_csr(*edwards, "", nullptr)), Reason::kRequestKey);
}

TEST(Csr, a_request_not_signed_by_its_key_is_refused) {
  const auto good = test::ec_key(), other = test::ec_key();
  EXPECT_EQ(csr_refusal(test::make_csr(*good, "", EVP_sha1())), Reason::kRequestSignature);
  // The same request with another's key in it.
  auto request = grpc::read_request(test::make_csr(*good)).value();
  X509_REQ_set_pubkey(request.get(), other.get());
  const grpc::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  EXPECT_EQ(csr_refusal(grpc::text_of(*bio)), Reason::kRequestSignature);
}

TEST(Csr, what_is_no_request_or_too_large_is_refused) {
  EXPECT_EQ(csr_refusal(""), Reason::kRequestMalformed);
  EXPECT_EQ(csr_refusal("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"), Reason::kRequestMalformed);
  EXPECT_EQ(csr_refusal(test::make_csr(*test::ec_key()) + std::string(kMaxRequest, ' ')), Reason::kRequestMalformed);
  EXPECT_EQ(csr_refusal("-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
            Reason::kRequestMalformed);
}

}  // namespace
