#include "userspace-proxy/tls/key_ring.h"

#include <fmt/format.h>

#include "userspace-proxy/tls/certificate.h"

namespace weft::tls {
namespace {

using base::ErrorKind;

// A critical SAN extension with this one URI.
std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> uri_san(const std::string& uri) {
  const Owned<GENERAL_NAMES> names(sk_GENERAL_NAME_new_null());
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, uri.data(), static_cast<int>(uri.size()));
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  sk_GENERAL_NAME_push(names.get(), name);
  return {X509V3_EXT_i2d(NID_subject_alt_name, 1, names.get()), X509_EXTENSION_free};
}

base::Result<std::string> make_request(EVP_PKEY* key, const model::SpiffeId& identity) {
  const Owned<X509_REQ> request(X509_REQ_new());
  const auto san = uri_san(identity.to_string());
  auto* extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(extensions, san.get());
  const bool made = X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    X509_REQ_set_pubkey(request.get(), key) == 1 &&
                    X509_REQ_add_extensions(request.get(), extensions) == 1 &&
                    X509_REQ_sign(request.get(), key, EVP_sha256()) > 0;
  sk_X509_EXTENSION_free(extensions);
  if (!made) return base::fail(ErrorKind::kSystem, "certificate request: " + openssl_complaint());
  const int size = i2d_X509_REQ(request.get(), nullptr);
  std::string der(static_cast<size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509_REQ(request.get(), &out);
  return der;
}

std::unexpected<base::Error> refuse(const model::SpiffeId& identity, std::string_view why) {
  return base::fail(ErrorKind::kInvalid, fmt::format("certificate for {}: {}", identity.to_string(), why));
}

base::Status check_leaf(X509* leaf, EVP_PKEY* key, const model::SpiffeId& identity, base::WallTime now) {
  const auto id = identity_of(leaf);
  if (!id) return refuse(identity, id.error().what);
  if (*id != identity) return refuse(identity, "it is for " + id->to_string());
  EVP_PKEY* certified = X509_get0_pubkey(leaf);
  if (certified == nullptr || EVP_PKEY_eq(certified, key) != 1) return refuse(identity, "it is for another key");
  if (!allows(leaf, Usage::kClient) || !allows(leaf, Usage::kServer))
    return refuse(identity, "its extended key usage lacks serverAuth or clientAuth");
  if (now < not_before_of(leaf))
    return refuse(identity, "not yet valid before " + describe_time(not_before_of(leaf)));
  if (now >= not_after_of(leaf)) return refuse(identity, "expired at " + describe_time(not_after_of(leaf)));
  return {};
}

}  // namespace

base::Result<std::string> KeyRing::request(const model::SpiffeId& identity, uint64_t key_id) {
  const auto old = pending_.find(identity);
  if (old != pending_.end() && old->second.key_id >= key_id)
    return base::fail(ErrorKind::kConflict,
                      fmt::format("key {} of {} is not newer than {}", key_id, identity.to_string(), old->second.key_id));
  if (old == pending_.end() && pending_.size() >= kMaxPending)
    return base::fail(ErrorKind::kLimit, "too many keys wait for a certificate");
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return base::fail(ErrorKind::kSystem, "making a key: " + openssl_complaint());
  TRY_ASSIGN(auto der, make_request(key.get(), identity));
  pending_.insert_or_assign(identity, Pending{key_id, std::move(key)});
  return der;
}

base::Result<CredentialPtr> KeyRing::accept(const model::SpiffeId& identity, uint64_t key_id,
                                            std::string_view chain_pem, base::WallTime now) {
  const auto pending = pending_.find(identity);
  if (pending == pending_.end() || pending->second.key_id != key_id)
    return base::fail(ErrorKind::kNotFound,
                      fmt::format("certificate for {}: no key {} waits for it", identity.to_string(), key_id));
  if (chain_pem.size() > kMaxChainBytes) return refuse(identity, "the chain is too large");
  auto chain = parse_certificates(chain_pem, kMaxChain);
  if (!chain) return refuse(identity, chain.error().what);
  TRY(check_leaf(chain->front().get(), pending->second.key.get(), identity, now));

  auto credential = std::make_shared<Credential>();
  credential->id = identity;
  credential->key_id = key_id;
  credential->key = std::move(pending->second.key);
  credential->leaf = std::move(chain->front());
  chain->erase(chain->begin());
  // A root would only cost every peer time: it is never sent (identity.md 3).
  std::erase_if(*chain, [](const auto& above) { return X509_self_signed(above.get(), 0) == 1; });
  credential->intermediates = std::move(*chain);
  credential->not_before = not_before_of(credential->leaf.get());
  credential->not_after = not_after_of(credential->leaf.get());
  credential->serial = serial_of(credential->leaf.get());
  pending_.erase(pending);
  return credential;
}

}  // namespace weft::tls
