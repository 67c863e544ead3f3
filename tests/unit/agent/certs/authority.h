#pragma once
// A certificate authority that does as a test tells it, wrong things included, and a proxy's half: keys and
// requests.
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "agent/certs/ca_client.h"
#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"

namespace weft::certs {

inline grpc::KeyPtr new_key() {
  return grpc::KeyPtr(EVP_EC_gen("P-256"));
}

// What a proxy sends: PKCS#10 in DER.
inline std::string request_for(EVP_PKEY& key) {
  const grpc::RequestPtr request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), &key);
  EXPECT_GT(X509_REQ_sign(request.get(), &key, EVP_sha256()), 0);
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

struct Wish {
  std::string names;  // subjectAltName as OpenSSL writes it: "URI:spiffe://..."; empty: none
  base::WallTime begin, end;
  std::string usage = "serverAuth,clientAuth";
  bool authority = false;
};

class Authority {
 public:
  // `above` null: a root.
  explicit Authority(const std::string& name, base::WallTime begin, base::WallTime end,
                     const Authority* above = nullptr)
      : name_(name), key_(new_key()) {
    certificate_ = issue(*key_, {.begin = begin, .end = end, .authority = true}, name,
                         above == nullptr ? *this : *above);
  }

  [[nodiscard]] std::string pem() const { return grpc::write_certificate(*certificate_); }
  [[nodiscard]] const EVP_PKEY& key() const { return *key_; }

  [[nodiscard]] std::string sign(EVP_PKEY& key, const Wish& wish) const {
    return grpc::write_certificate(*issue(key, wish, "", *this));
  }
  [[nodiscard]] std::string sign(const std::string& request_der, const Wish& wish) const {
    const auto* at = reinterpret_cast<const unsigned char*>(request_der.data());
    const grpc::RequestPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(request_der.size())));
    return sign(*X509_REQ_get0_pubkey(request.get()), wish);
  }

 private:
  static void extend(X509& certificate, int nid, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(&certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  static void set_time(ASN1_TIME* into, base::WallTime when) {
    ASN1_TIME_set(into, std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count());
  }
  static void set_name(X509_NAME* into, const std::string& name) {
    X509_NAME_add_entry_by_txt(into, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()),
                               -1, -1, 0);
  }
  static grpc::CertificatePtr issue(EVP_PKEY& key, const Wish& wish, const std::string& name,
                                    const Authority& by) {
    grpc::CertificatePtr made(X509_new());
    X509_set_version(made.get(), 2);
    static long serial = 0;
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
    set_time(X509_getm_notBefore(made.get()), wish.begin);
    set_time(X509_getm_notAfter(made.get()), wish.end);
    X509_set_pubkey(made.get(), &key);
    if (!name.empty()) set_name(X509_get_subject_name(made.get()), name);
    set_name(X509_get_issuer_name(made.get()), by.name_);
    if (wish.authority) extend(*made, NID_basic_constraints, "critical,CA:TRUE");
    if (!wish.authority && !wish.usage.empty()) extend(*made, NID_ext_key_usage, wish.usage);
    if (!wish.names.empty()) extend(*made, NID_subject_alt_name, "critical," + wish.names);
    EXPECT_GT(X509_sign(made.get(), by.key_.get(), EVP_sha256()), 0);
    return made;
  }

  std::string name_;
  grpc::KeyPtr key_;
  grpc::CertificatePtr certificate_;
};

inline std::string uri(const model::SpiffeId& identity) {
  return "URI:" + identity.to_string();
}

}  // namespace weft::certs
