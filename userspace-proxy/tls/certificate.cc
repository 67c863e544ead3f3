#include "userspace-proxy/tls/certificate.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/err.h>

namespace weft::tls {
namespace {

using base::ErrorKind;

constexpr std::string_view kBegin = "-----BEGIN ", kCertificate = "CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";

base::WallTime wall_of(const ASN1_TIME* time) {
  tm broken_down{};
  if (ASN1_TIME_to_tm(time, &broken_down) != 1) return {};
  return base::WallTime(std::chrono::seconds(timegm(&broken_down)));
}

base::Result<std::string> decode_base64(std::string_view text) {
  const std::unique_ptr<EVP_ENCODE_CTX, void (*)(EVP_ENCODE_CTX*)> context(EVP_ENCODE_CTX_new(),
                                                                          EVP_ENCODE_CTX_free);
  std::string der(text.size(), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  int size = 0, rest = 0;
  EVP_DecodeInit(context.get());
  if (EVP_DecodeUpdate(context.get(), out, &size, reinterpret_cast<const unsigned char*>(text.data()),
                       static_cast<int>(text.size())) < 0 ||
      EVP_DecodeFinal(context.get(), out + size, &rest) < 0)
    return base::fail(ErrorKind::kInvalid, "a PEM block that is not base64");
  der.resize(static_cast<size_t>(size + rest));
  return der;
}

// Takes the next block off `pem`; empty when there is none left.
base::Result<std::string> next_block(std::string_view& pem) {
  const size_t begin = pem.find(kBegin);
  if (begin == std::string_view::npos) {
    pem = {};
    return std::string{};
  }
  pem.remove_prefix(begin + kBegin.size());
  if (!pem.starts_with(kCertificate)) return base::fail(ErrorKind::kInvalid, "a PEM block that is no certificate");
  pem.remove_prefix(kCertificate.size());
  const size_t end = pem.find(kEnd);
  if (end == std::string_view::npos) return base::fail(ErrorKind::kInvalid, "a PEM block without an end");
  const auto body = pem.substr(0, end);
  pem.remove_prefix(end + kEnd.size());
  TRY_ASSIGN(auto der, decode_base64(body));
  if (der.empty()) return base::fail(ErrorKind::kInvalid, "an empty PEM block");
  return der;
}

}  // namespace

CertPtr certificate_of(std::string_view der, OSSL_LIB_CTX* library) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  X509* made = X509_new_ex(library, nullptr);
  // On failure d2i frees what it was given.
  if (d2i_X509(&made, &at, static_cast<long>(der.size())) == nullptr) {
    ERR_clear_error();
    return nullptr;
  }
  CertPtr certificate(made);
  if (at != end) return nullptr;
  return certificate;
}

base::Result<std::vector<CertPtr>> parse_certificates(std::string_view pem, size_t most) {
  std::vector<CertPtr> found;
  while (!pem.empty()) {
    TRY_ASSIGN(const auto der, next_block(pem));
    if (der.empty()) break;
    if (found.size() == most)
      return base::fail(ErrorKind::kLimit, fmt::format("more than {} certificates", most));
    auto certificate = certificate_of(der);
    if (!certificate)
      return base::fail(ErrorKind::kInvalid,
                        fmt::format("PEM block {} is not exactly one X.509 certificate", found.size() + 1));
    found.push_back(std::move(certificate));
  }
  if (found.empty()) return base::fail(ErrorKind::kInvalid, "no certificate in it");
  return found;
}

base::Result<model::SpiffeId> identity_of(X509* certificate) {
  int critical = 0;
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (!names) {
    const bool absent = critical == -1;
    return base::fail(ErrorKind::kUntrusted, absent ? "the certificate names no SPIFFE id (no SAN)"
                                                    : "the certificate's SAN extension is broken or there are two");
  }
  const ASN1_IA5STRING* uri = nullptr;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (uri != nullptr)
      return base::fail(ErrorKind::kUntrusted, "the certificate carries more than one URI SAN");
    uri = name->d.uniformResourceIdentifier;
  }
  if (uri == nullptr) return base::fail(ErrorKind::kUntrusted, "the certificate names no SPIFFE id (no URI SAN)");
  auto id = model::SpiffeId::parse({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                    static_cast<size_t>(ASN1_STRING_length(uri))});
  if (!id) return base::fail(ErrorKind::kUntrusted, "the certificate's URI SAN: " + id.error().what);
  return id;
}

bool allows(X509* certificate, Usage usage) {
  const uint32_t usages = X509_get_extended_key_usage(certificate);
  if (usages == UINT32_MAX) return true;
  return (usages & (usage == Usage::kClient ? XKU_SSL_CLIENT : XKU_SSL_SERVER)) != 0;
}

base::WallTime not_before_of(X509* certificate) {
  return wall_of(X509_get0_notBefore(certificate));
}
base::WallTime not_after_of(X509* certificate) {
  return wall_of(X509_get0_notAfter(certificate));
}

std::string serial_of(X509* certificate) {
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr), BN_free);
  if (!number) return "";
  char* text = BN_bn2hex(number.get());
  std::string serial = text != nullptr ? text : "";
  OPENSSL_free(text);
  return serial;
}

std::string der_of(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return "";
  std::string der(static_cast<size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &out);
  return der;
}

std::string describe_time(base::WallTime when) {
  return fmt::format("{:%FT%T}Z", fmt::gmtime(std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count()));
}

std::string describe_verify_error(int error, X509* certificate) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "certificate expired at " + describe_time(not_after_of(certificate));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate not yet valid before " + describe_time(not_before_of(certificate));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "self-signed certificate that is not in the trust bundle";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "unknown authority: no root of the trust bundle signed this chain";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "unknown authority: the signature does not verify with the root of that name";
    case X509_V_ERR_INVALID_PURPOSE:
      return "wrong extended key usage for this side of the connection";
    default:
      return fmt::format("chain refused: {}", X509_verify_cert_error_string(error));
  }
}

}  // namespace weft::tls
