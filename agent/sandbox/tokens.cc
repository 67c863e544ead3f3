#include "agent/sandbox/tokens.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "agent/sandbox/files.h"
#include "agent/sandbox/names.h"
#include "agent/parse/base64.h"

namespace weft::sandbox {
namespace {

constexpr size_t kCoordinate = 32;  // bytes of a P-256 number

template <typename T, void (*kFree)(T*)>
struct Freed {
  void operator()(T* object) const { kFree(object); }
};
using Number = std::unique_ptr<BIGNUM, Freed<BIGNUM, BN_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG, ECDSA_SIG_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX, EVP_MD_CTX_free>>;
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

std::string padded(const BIGNUM* number) {
  std::string bytes(kCoordinate, '\0');
  if (BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), kCoordinate) < 0) return "";
  return bytes;
}

std::string coordinate(const EVP_PKEY* key, const char* which) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, which, &raw) != 1) return "";
  const Number number(raw);
  return base64url(padded(number.get()));
}

// The DER form into r || s, as RFC 7518 3.4 wants it.
base::Result<std::string> raw_signature(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!signature) return base::fail(base::ErrorKind::kInvalid, "sign a token: no ECDSA signature");
  return padded(ECDSA_SIG_get0_r(signature.get())) + padded(ECDSA_SIG_get0_s(signature.get()));
}

// A uid in a uid's form, from a name.
std::string uid_of(const std::string& text) {
  const uint64_t a = hash_of(text), b = hash_of(text + "/2");
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, b >> 52,
                     b & 0xffffffffffffull);
}

}  // namespace

std::string base64url(std::string_view bytes) { return parse::encode_base64(bytes, parse::Base64::kUrl); }

std::string service_account_uid(const std::string& ns, const std::string& name) {
  return uid_of("serviceaccount/" + ns + "/" + name);
}

std::string node_uid(const std::string& node) {
  return "node-" + node;
}

TokenSubject subject_of(const Json& pod) {
  return {text_at(pod, "metadata.namespace"), text_at(pod, "spec.serviceAccountName", "default"),
          text_at(pod, "metadata.name"), text_at(pod, "metadata.uid"), text_at(pod, "spec.nodeName")};
}

base::Result<TokenIssuer> TokenIssuer::open(const std::string& directory) {
  TRY(make_directories(directory, 0700));
  TRY_ASSIGN(auto key, load_or_make(directory + "/key.pem"));
  TokenIssuer issuer(std::move(key));
  TRY(issuer.read_public_half());
  return issuer;
}

base::Result<TokenIssuer::Key> TokenIssuer::load_or_make(const std::string& file) {
  Key key(nullptr, &EVP_PKEY_free);
  if (exists(file)) {
    TRY_ASSIGN(const auto text, read_file(file));
    const Bio in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    key.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
    if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC)
      return base::fail(base::ErrorKind::kInvalid, file + " holds no EC private key");
    return key;
  }
  key.reset(EVP_EC_gen("P-256"));
  const Bio out(BIO_new(BIO_s_mem()));
  if (!key || PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return base::fail(base::ErrorKind::kSystem, "make a key for tokens");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  TRY(write_private_file(file, {text, static_cast<size_t>(size)}, 0));
  return key;
}

base::Status TokenIssuer::read_public_half() {
  x_ = coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X);
  y_ = coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
  if (x_.empty() || y_.empty())
    return base::fail(base::ErrorKind::kInvalid, "the key for tokens is not on P-256");
  // RFC 7638 3: the required members in the order of the alphabet, without white space.
  const std::string named = fmt::format(R"({{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}})", x_, y_);
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (EVP_Digest(named.data(), named.size(), reinterpret_cast<unsigned char*>(hash.data()), &size, EVP_sha256(),
                 nullptr) != 1)
    return base::fail(base::ErrorKind::kSystem, "hash the key for tokens");
  key_id_ = base64url({hash.data(), size});
  return {};
}

Json TokenIssuer::claims(const TokenSubject& subject, const std::string& audience,
                         std::chrono::system_clock::time_point now, std::chrono::seconds life) {
  const int64_t issued = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return Json{
      {"iss", kTokenIssuer},
      {"sub", "system:serviceaccount:" + subject.ns + ":" + subject.service_account},
      {"aud", Json::array({audience})},
      {"iat", issued},
      {"nbf", issued},
      {"exp", issued + life.count()},
      {"jti", random_uid()},
      {"kubernetes.io",
       {{"namespace", subject.ns},
        {"serviceaccount",
         {{"name", subject.service_account}, {"uid", service_account_uid(subject.ns, subject.service_account)}}},
        {"pod", {{"name", subject.pod}, {"uid", subject.pod_uid}}},
        {"node", {{"name", subject.node}, {"uid", node_uid(subject.node)}}}}}};
}

base::Result<std::string> TokenIssuer::sign(const Json& claims) const {
  const Json header{{"alg", "ES256"}, {"kid", key_id_}, {"typ", "JWT"}};
  const std::string text = base64url(header.dump()) + "." + base64url(claims.dump());
  const Digest context(EVP_MD_CTX_new());
  std::string der(static_cast<size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  size_t size = der.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(der.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1)
    return base::fail(base::ErrorKind::kSystem, "sign a token");
  der.resize(size);
  TRY_ASSIGN(const auto signature, raw_signature(der));
  return text + "." + base64url(signature);
}

std::string TokenIssuer::jwks() const {
  return Json{{"keys", Json::array({{{"kty", "EC"},
                                     {"crv", "P-256"},
                                     {"use", "sig"},
                                     {"alg", "ES256"},
                                     {"kid", key_id_},
                                     {"x", x_},
                                     {"y", y_}}})}}
      .dump(2);
}

}  // namespace weft::sandbox
