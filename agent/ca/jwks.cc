#include "agent/ca/jwks.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "agent/ca/json.h"
#include "agent/parse/base64.h"

namespace weft::ca {
namespace {

constexpr size_t kCoordinate = 32;  // bytes of a P-256 number
constexpr int kMinRsaBits = 2048, kMaxRsaBits = 4096;

using Builder = std::unique_ptr<OSSL_PARAM_BLD, grpc::Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, grpc::Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, grpc::Freed<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, grpc::Freed<BN_free>>;

std::unexpected<base::Error> broken(const std::string& id, std::string_view why) {
  return base::fail(base::ErrorKind::kInvalid, fmt::format("key \"{}\": {}", id, why));
}

grpc::KeyPtr key_from(const char* kind, OSSL_PARAM_BLD& builder) {
  const Params params(OSSL_PARAM_BLD_to_param(&builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  grpc::KeyPtr out(key);
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, out.get(), nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return nullptr;
  return out;
}

Number number_of(const std::string& bytes) {
  return Number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

std::optional<std::string> number_at(const Json& entry, const char* name) {
  return parse::decode_base64(string_at(entry, name), parse::Base64::kUrl);
}

base::Result<grpc::KeyPtr> ec_key(const std::string& id, const Json& entry) {
  const auto x = number_at(entry, "x"), y = number_at(entry, "y");
  if (!x || !y || x->size() != kCoordinate || y->size() != kCoordinate)
    return broken(id, "x and y are not 32 bytes each");
  const std::string point = "\x04" + *x + *y;
  const Builder builder(OSSL_PARAM_BLD_new());
  CHECK(builder && OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1);
  auto key = key_from("EC", *builder);
  if (!key) return broken(id, "not a point of P-256: " + grpc::openssl_error());
  return key;
}

base::Result<grpc::KeyPtr> rsa_key(const std::string& id, const Json& entry) {
  const auto n = number_at(entry, "n"), e = number_at(entry, "e");
  if (!n || !e || n->size() > kMaxRsaBits / 8 || e->empty() || e->size() > 8) return broken(id, "n or e is out of bounds");
  const Number modulus = number_of(*n), exponent = number_of(*e);
  if (BN_num_bits(modulus.get()) < kMinRsaBits) return broken(id, "RSA below 2048 bits");
  const Builder builder(OSSL_PARAM_BLD_new());
  CHECK(builder && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1);
  auto key = key_from("RSA", *builder);
  if (!key) return broken(id, "not an RSA key: " + grpc::openssl_error());
  return key;
}

// False: not for us.
bool wanted(const Json& entry, std::string_view kind, std::string_view algorithm) {
  const std::string use = string_at(entry, "use"), alg = string_at(entry, "alg");
  return string_at(entry, "kty") == kind && (use.empty() || use == "sig") && (alg.empty() || alg == algorithm);
}

base::Status add_key(const Json& entry, KeySet& out) {
  const std::string id = string_at(entry, "kid");
  if (wanted(entry, "EC", "ES256") && string_at(entry, "crv") == "P-256") {
    TRY_ASSIGN(auto key, ec_key(id, entry));
    out.push_back({id, TokenAlgorithm::kEs256, std::move(key)});
  }
  if (wanted(entry, "RSA", "RS256")) {
    TRY_ASSIGN(auto key, rsa_key(id, entry));
    out.push_back({id, TokenAlgorithm::kRs256, std::move(key)});
  }
  return {};
}

}  // namespace

base::Result<KeySetPtr> parse_jwks(std::string_view text) {
  TRY_ASSIGN(const Json set, parse_object(text));
  const Json& keys = member(set, "keys");
  if (!keys.is_array()) return base::fail(base::ErrorKind::kInvalid, "key set without \"keys\"");
  if (keys.size() > kMaxKeys) return base::fail(base::ErrorKind::kLimit, "key set with more than 64 keys");
  auto out = std::make_shared<KeySet>();
  for (const Json& entry : keys) TRY(add_key(entry, *out));
  if (out->empty()) return base::fail(base::ErrorKind::kInvalid, "key set without a key for ES256 or RS256");
  return KeySetPtr(std::move(out));
}

}  // namespace weft::ca
