#pragma once
// Questions to X.509 certificates that came from outside: what they are, whom they name, what they may be used for.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

// Every PEM block of `pem`, in order; text between blocks is ignored (RFC 7468 2). kInvalid: no block, a block that
// is not exactly one certificate, or of another kind; kLimit: more than `most` of them.
[[nodiscard]] base::Result<std::vector<CertPtr>> parse_certificates(std::string_view pem, size_t most);

// The one URI SAN, read as a SPIFFE id. kUntrusted with the reason for none, several, or one that is no SPIFFE id.
[[nodiscard]] base::Result<model::SpiffeId> identity_of(X509* certificate);

// What the holder does with it. A certificate without the extension may do both (hbone.md 3).
enum class Usage : uint8_t { kClient, kServer };
[[nodiscard]] bool allows(X509* certificate, Usage usage);

[[nodiscard]] base::WallTime not_before_of(X509* certificate);
[[nodiscard]] base::WallTime not_after_of(X509* certificate);
[[nodiscard]] std::string serial_of(X509* certificate);
[[nodiscard]] std::string der_of(X509* certificate);
// Null when `der` is not exactly one certificate. `library` null: the default one.
[[nodiscard]] CertPtr certificate_of(std::string_view der, OSSL_LIB_CTX* library = nullptr);

// Why a chain was refused, in words a user can act on.
[[nodiscard]] std::string describe_verify_error(int error, X509* certificate);
// "2026-11-30T04:05:06Z"
[[nodiscard]] std::string describe_time(base::WallTime when);

}  // namespace weft::tls
