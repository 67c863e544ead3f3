#pragma once
// Certificates from outside bytes, read strictly.
#include <openssl/x509.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::certs {

// At least one and at most `most` certificates, at most model::kMaxChainBytes of PEM. Text around the blocks
// is passed over (RFC 7468, 2); a block of any other kind (a private key above all), one that is not X.509 to
// its last byte, or one that does not end is kInvalid.
[[nodiscard]] base::Result<std::vector<grpc::CertificatePtr>> read_strict(std::string_view pem, size_t most);

[[nodiscard]] base::WallTime begin_of(const X509& certificate);
[[nodiscard]] base::WallTime end_of(const X509& certificate);

// PKCS#10 in DER, nothing behind it, signed with the key it carries.
[[nodiscard]] base::Result<grpc::RequestPtr> read_request(std::string_view der);
[[nodiscard]] base::Result<std::string> request_to_pem(std::string_view der);

}  // namespace weft::certs
