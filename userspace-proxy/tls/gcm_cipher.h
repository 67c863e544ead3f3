#pragma once
// AES-GCM for a provider of ours, where the machine has it faster than OpenSSL 3.0 does.
#include <openssl/core.h>

#include <span>

namespace weft::tls {

// AES-256-GCM and AES-128-GCM of libipsec-mb, under OpenSSL's names; OpenSSL 3.0 does not use the wide AES instructions
// (VAES; measured 2026-11-30: 10.5 against 2.9 GB/s). Empty on a processor without AES instructions and where weft was
// built without the library: OpenSSL's own are used then. They do what a TLS 1.3 record needs (RFC 8446 5.2) and
// refuse everything else: a nonce of 12 bytes, to be given anew for each message; additional data in one call and at
// most 64 bytes; a tag of 16 bytes, which is given before the last call when decrypting.
// Thread: any; what they return lives as long as the program.
[[nodiscard]] std::span<const OSSL_ALGORITHM> fast_gcm();

}  // namespace weft::tls
