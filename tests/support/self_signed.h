#pragma once
// A certificate that is its own authority, for tests of control-plane TLS.
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <string>

#include "agent/grpc/openssl.h"

namespace weft::test {

struct SelfSigned {
  std::string certificate_pem, key_pem;
};

// `names` as OpenSSL writes subjectAltName: "DNS:ca.test,IP:127.0.0.1".
inline SelfSigned self_signed(const std::string& names) {
  const grpc::KeyPtr key(EVP_EC_gen("P-256"));
  const grpc::CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509_EXTENSION* const san = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  EXPECT_NE(san, nullptr);
  X509_add_ext(certificate.get(), san, -1);
  X509_EXTENSION_free(san);
  EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  return {grpc::write_certificate(*certificate), grpc::write_private_key(*key)};
}

}  // namespace weft::test
