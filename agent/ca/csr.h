#pragma once
// What a caller may ask to have certified.
#include <string_view>

#include "agent/ca/reason.h"
#include "agent/grpc/openssl.h"

namespace weft::ca {

inline constexpr size_t kMaxRequest = 16 * 1024;  // bytes of PEM
inline constexpr int kMinRsaBits = 2048, kMaxRsaBits = 4096;

// The public key of a PKCS#10 request: EC on P-256 or P-384, or RSA of 2048 to 4096 bits, whose holder signed
// the request with SHA-2. Nothing else of the request is used: its subject and its names are the caller's
// wishes, and who the caller is is not for him to say (reference identity 2).
[[nodiscard]] Judged<grpc::KeyPtr> read_requested_key(std::string_view pem);

}  // namespace weft::ca
