#include "agent/ca/token.h"

#include <fmt/format.h>
#include <openssl/ec.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "agent/ca/json.h"
#include "agent/parse/base64.h"

namespace weft::ca {
namespace {

constexpr size_t kMaxName = 253;         // of a Kubernetes object
constexpr size_t kMaxUid = 128;
constexpr size_t kEs256Signature = 64;   // r and s, RFC 7518 3.4
constexpr double kMaxSeconds = 9e9;      // year 2255: what nanoseconds can count

using Digest = std::unique_ptr<EVP_MD_CTX, grpc::Freed<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, grpc::Freed<ECDSA_SIG_free>>;

struct Pieces {
  std::string_view signed_part;  // header.payload as they came
  std::string_view header, payload, signature;
};

Judged<Pieces> split(std::string_view token) {
  if (token.empty()) return refuse(Reason::kNoToken, "no token");
  if (token.size() > kMaxToken) return refuse(Reason::kTokenMalformed, "token above 8 KiB");
  const size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last) return refuse(Reason::kTokenMalformed, "not three pieces");
  const Pieces out{token.substr(0, last), token.substr(0, first), token.substr(first + 1, last - first - 1),
                   token.substr(last + 1)};
  if (out.payload.find('.') != std::string_view::npos) return refuse(Reason::kTokenMalformed, "not three pieces");
  return out;
}

Judged<Json> parse(std::string_view text, std::string_view what) {
  auto json = parse_object(text);
  if (!json) return refuse(Reason::kTokenMalformed, fmt::format("{}: {}", what, json.error().what));
  return std::move(*json);
}

Judged<std::string> decode(std::string_view piece, std::string_view what) {
  auto text = parse::decode_base64(piece, parse::Base64::kUrl);
  if (!text) return refuse(Reason::kTokenMalformed, fmt::format("{} is not base64url", what));
  return std::move(*text);
}

Judged<TokenAlgorithm> algorithm_of(const Json& header) {
  // RFC 7515 4.1.11: an extension that must be understood and is not.
  if (header.contains("crit")) return refuse(Reason::kTokenMalformed, "header with \"crit\"");
  const std::string name = string_at(header, "alg");
  if (name == "ES256") return TokenAlgorithm::kEs256;
  if (name == "RS256") return TokenAlgorithm::kRs256;
  return refuse(Reason::kTokenAlgorithm, fmt::format("algorithm \"{}\"", name.substr(0, 32)));
}

// r || s into the DER form OpenSSL verifies.
std::string der_of(const std::string& raw) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(raw.data());
  const EcSignature signature(ECDSA_SIG_new());
  BIGNUM* const r = BN_bin2bn(bytes, kEs256Signature / 2, nullptr);
  BIGNUM* const s = BN_bin2bn(bytes + kEs256Signature / 2, kEs256Signature / 2, nullptr);
  CHECK(signature && r && s && ECDSA_SIG_set0(signature.get(), r, s) == 1);
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  CHECK(size > 0);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

bool verifies(EVP_PKEY& key, std::string_view text, const std::string& signature) {
  const Digest context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  const auto bytes = [](std::string_view view) { return reinterpret_cast<const unsigned char*>(view.data()); };
  const bool good = EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, &key) == 1 &&
                    EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1;
  if (!good) (void)grpc::openssl_error();  // leaves the queue empty
  return good;
}

Judged<void> check_signature(const Pieces& pieces, const Json& header, const KeySet& keys) {
  TRY_ASSIGN(const TokenAlgorithm algorithm, algorithm_of(header));
  auto signature = parse::decode_base64(pieces.signature, parse::Base64::kUrl);
  if (!signature) return refuse(Reason::kTokenMalformed, "signature is not base64url");
  if (algorithm == TokenAlgorithm::kEs256) {
    if (signature->size() != kEs256Signature) return refuse(Reason::kTokenSignature, "ES256 signature of a wrong length");
    signature = der_of(*signature);
  }
  const std::string id = string_at(header, "kid");
  bool known = false;
  for (const TokenKey& key : keys) {
    if (key.algorithm != algorithm || (!id.empty() && key.id != id)) continue;
    known = true;
    if (verifies(*key.key, pieces.signed_part, *signature)) return {};
  }
  if (known) return refuse(Reason::kTokenSignature, "the signature is wrong");
  return refuse(Reason::kTokenKey, fmt::format("no key \"{}\" for this algorithm", id.substr(0, 64)));
}

std::optional<base::WallTime> time_at(const Json& claims, std::string_view name) {
  const Json& value = member(claims, name);
  if (!value.is_number()) return std::nullopt;
  const double seconds = value.get<double>();
  if (!(seconds >= 0) || seconds > kMaxSeconds) return std::nullopt;
  return base::WallTime(std::chrono::seconds(static_cast<int64_t>(seconds)));
}

Judged<void> check_times(const Json& claims, base::WallTime now) {
  const auto end = time_at(claims, "exp");
  if (!end) return refuse(Reason::kTokenClaims, "no usable \"exp\"");
  if (*end + kTokenLeeway <= now) return refuse(Reason::kTokenExpired, "expired");
  for (const char* name : {"nbf", "iat"}) {
    if (!claims.contains(name)) continue;
    const auto begin = time_at(claims, name);
    if (!begin) return refuse(Reason::kTokenClaims, fmt::format("no usable \"{}\"", name));
    if (*begin > now + kTokenLeeway) return refuse(Reason::kTokenNotYetValid, fmt::format("\"{}\" is in the future", name));
  }
  return {};
}

bool is_for(const Json& claims, const std::string& audience) {
  const Json& value = member(claims, "aud");
  if (value.is_string()) return value == audience;
  return value.is_array() && std::ranges::any_of(value, [&](const Json& each) { return each == audience; });
}

// What Kubernetes allows in names of these objects (RFC 1123 subdomains).
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

Judged<Caller> caller_of(const Json& claims) {
  const Json& own = member(claims, "kubernetes.io");
  const Json& account = member(own, "serviceaccount");
  const Json& pod = member(own, "pod");
  Caller out{string_at(own, "namespace"), string_at(account, "name"), string_at(pod, "name"), string_at(pod, "uid"),
             string_at(member(own, "node"), "name")};
  if (!is_name(out.ns) || !is_name(out.service_account))
    return refuse(Reason::kTokenClaims, "no namespace or service account in \"kubernetes.io\"");
  if (string_at(claims, "sub") != "system:serviceaccount:" + out.ns + ":" + out.service_account)
    return refuse(Reason::kTokenClaims, "\"sub\" names another account than \"kubernetes.io\"");
  // A token that is bound to no pod outlives whoever it was given to.
  if (!is_name(out.pod) || out.pod_uid.empty() || out.pod_uid.size() > kMaxUid)
    return refuse(Reason::kTokenClaims, "bound to no pod");
  if (!out.node.empty() && !is_name(out.node)) return refuse(Reason::kTokenClaims, "node with a strange name");
  return out;
}

}  // namespace

Judged<Caller> judge_claims(std::string_view claims_json, const TokenRules& rules, base::WallTime now) {
  TRY_ASSIGN(const Json claims, parse(claims_json, "claims"));
  if (string_at(claims, "iss") != rules.issuer)
    return refuse(Reason::kTokenIssuer, fmt::format("issuer \"{}\"", string_at(claims, "iss").substr(0, 128)));
  if (!is_for(claims, rules.audience)) return refuse(Reason::kTokenAudience, "for another audience");
  TRY(check_times(claims, now));
  return caller_of(claims);
}

Judged<Caller> verify_token(std::string_view token, const KeySet& keys, const TokenRules& rules,
                            base::WallTime now) {
  TRY_ASSIGN(const Pieces pieces, split(token));
  TRY_ASSIGN(const std::string header_json, decode(pieces.header, "header"));
  TRY_ASSIGN(const Json header, parse(header_json, "header"));
  TRY(check_signature(pieces, header, keys));
  TRY_ASSIGN(const std::string claims_json, decode(pieces.payload, "claims"));
  return judge_claims(claims_json, rules, now);
}

}  // namespace weft::ca
