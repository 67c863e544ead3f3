#pragma once
// Names of the certificate service (reference identity 1), for the one who serves it and the one who calls it.
#include <string_view>

#include "agent/ca_wire/ca.pb.h"

namespace weft::ca_wire {

inline constexpr std::string_view kCreateCertificate = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
inline constexpr std::string_view kAuthorization = "authorization";  // header: "Bearer <token>"
inline constexpr std::string_view kClusterId = "clusterid";          // header
// Keys of CertificateRequest.metadata.
inline constexpr std::string_view kImpersonatedIdentity = "ImpersonatedIdentity";
inline constexpr std::string_view kCertSigner = "CertSigner";

}  // namespace weft::ca_wire
