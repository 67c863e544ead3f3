#pragma once
// Service-account tokens as an API server issues them for projected volumes: a JWT (RFC 7519) signed with ES256
// (RFC 7518 3.4), bound to a pod and its node (identity.md 1). Who checks them needs the JWKS file only (RFC 7517).
#include <openssl/evp.h>

#include <chrono>
#include <memory>
#include <string>

#include "agent/sandbox/json.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

inline constexpr const char* kTokenIssuer = "https://kubernetes.default.svc.cluster.local";
inline constexpr std::chrono::seconds kTokenLife = std::chrono::hours(1);

// Whom a token speaks for.
struct TokenSubject {
  std::string ns, service_account;
  std::string pod, pod_uid;
  std::string node;
};

// The subject of a pod that has a place. REQUIRES: complete_pod() was there.
[[nodiscard]] TokenSubject subject_of(const Json& pod);
// Made from the name: the sandbox has no ServiceAccount controller that could hand out random ones.
[[nodiscard]] std::string service_account_uid(const std::string& ns, const std::string& name);
[[nodiscard]] std::string node_uid(const std::string& node);
// RFC 4648 5, without padding.
[[nodiscard]] std::string base64url(std::string_view bytes);

// Holds the signing key. Owner: the daemon. Thread: its only one.
class TokenIssuer {
 public:
  // The key of `directory`, made on the first call (only root can read it). A key that cannot be read is an
  // error and stays as it is: a new one would void every token that is out.
  static base::Result<TokenIssuer> open(const std::string& directory);

  // What the token says, before it is signed. Pure.
  [[nodiscard]] static Json claims(const TokenSubject& subject, const std::string& audience,
                                   std::chrono::system_clock::time_point now, std::chrono::seconds life);
  [[nodiscard]] base::Result<std::string> sign(const Json& claims) const;
  // The public half: {"keys": [...]}.
  [[nodiscard]] std::string jwks() const;
  // RFC 7638: the same key has the same name everywhere.
  [[nodiscard]] const std::string& key_id() const { return key_id_; }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  explicit TokenIssuer(Key key) : key_(std::move(key)) {}
  static base::Result<Key> load_or_make(const std::string& file);
  base::Status read_public_half();

  Key key_;
  std::string key_id_;
  std::string x_, y_;  // the public point, base64url of 32 bytes each
};

}  // namespace weft::sandbox
