#include "agent/ca/csr.h"

#include <openssl/ec.h>
#include <openssl/objects.h>

namespace weft::ca {
namespace {

// Before its signature is verified: what that would cost is bounded by this.
Judged<void> check_key(const EVP_PKEY& key) {
  const int kind = EVP_PKEY_get_base_id(&key);
  const int bits = EVP_PKEY_get_bits(&key);
  if (kind == EVP_PKEY_RSA) {
    if (bits >= kMinRsaBits && bits <= kMaxRsaBits) return {};
    return refuse(Reason::kRequestKey, "RSA key of " + std::to_string(bits) + " bits");
  }
  if (kind != EVP_PKEY_EC) return refuse(Reason::kRequestKey, "key is neither EC nor RSA");
  char group[64] = "";
  size_t size = 0;
  // Curves written out by their parameters have no name and are refused with the rest.
  if (EVP_PKEY_get_group_name(&key, group, sizeof group, &size) != 1)
    return refuse(Reason::kRequestKey, "EC key without a named curve");
  const std::string_view name(group, size);
  if (name == SN_X9_62_prime256v1 || name == SN_secp384r1) return {};
  return refuse(Reason::kRequestKey, "EC key on a curve other than P-256 and P-384");
}

Judged<void> check_digest(const X509_REQ& request) {
  int digest = NID_undef;
  OBJ_find_sigid_algs(X509_REQ_get_signature_nid(&request), &digest, nullptr);
  if (digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512) return {};
  return refuse(Reason::kRequestSignature, "signed with something other than SHA-2");
}

}  // namespace

Judged<grpc::KeyPtr> read_requested_key(std::string_view pem) {
  if (pem.size() > kMaxRequest) return refuse(Reason::kRequestMalformed, "request above 16 KiB");
  auto request = grpc::read_request(pem);
  if (!request) return refuse(Reason::kRequestMalformed, base::describe(request.error()));
  grpc::KeyPtr key(X509_REQ_get_pubkey(request->get()));
  if (!key) return refuse(Reason::kRequestKey, "key: " + grpc::openssl_error());
  TRY(check_key(*key));
  TRY(check_digest(**request));
  if (X509_REQ_verify(request->get(), key.get()) != 1)
    return refuse(Reason::kRequestSignature, "signature: " + grpc::openssl_error());
  return key;
}

}  // namespace weft::ca
