#pragma once
// Building certificates, field by field.
#include <chrono>
#include <string>

#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"

namespace weft::ca {

struct Profile {
  std::string organisation;       // empty: an empty subject
  std::string alternative_names;  // as OpenSSL's configuration writes them: "URI:spiffe://...", "DNS:a,IP:b"
  std::string key_usage, extended_key_usage;
  bool authority = false;
  base::WallTime not_before{}, not_after{};
};

// A certificate for `key`, signed by `issuer_key`; `issuer` null makes it its own. The names must hold no ','
// that is not meant as a separator: see callers.
[[nodiscard]] base::Result<grpc::CertificatePtr> make_certificate(const Profile& profile, EVP_PKEY& key,
                                                                  const X509* issuer, EVP_PKEY& issuer_key);
[[nodiscard]] base::WallTime wall_time_of(const ASN1_TIME& time);

}  // namespace weft::ca
