#include "agent/ca/certificate.h"

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>

namespace weft::ca {
namespace {

using Extension = std::unique_ptr<X509_EXTENSION, grpc::Freed<X509_EXTENSION_free>>;

std::time_t seconds_of(base::WallTime time) {
  return std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
}

// 127 random bits: RFC 5280 4.1.2.2 wants it positive and at most 20 bytes.
bool set_serial(X509& certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  const std::unique_ptr<BIGNUM, grpc::Freed<BN_free>> number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

bool set_subject(X509& certificate, const std::string& organisation) {
  if (organisation.empty()) return true;
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(&certificate), "O", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(organisation.data()),
                                    static_cast<int>(organisation.size()), -1, 0) == 1;
}

bool add(X509& certificate, X509V3_CTX& context, int nid, const std::string& value) {
  if (value.empty()) return true;
  const Extension extension(X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool add_extensions(X509& certificate, const Profile& profile, const X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, const_cast<X509*>(issuer), &certificate, nullptr, nullptr, 0);
  const bool named = issuer == &certificate || X509_get0_subject_key_id(const_cast<X509*>(issuer)) != nullptr;
  return add(certificate, context, NID_basic_constraints, profile.authority ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
         add(certificate, context, NID_key_usage, profile.key_usage) &&
         add(certificate, context, NID_ext_key_usage, profile.extended_key_usage) &&
         add(certificate, context, NID_subject_key_identifier, profile.authority ? "hash" : "") &&
         add(certificate, context, NID_authority_key_identifier, named && !profile.authority ? "keyid" : "") &&
         add(certificate, context, NID_subject_alt_name, profile.alternative_names);
}

}  // namespace

base::Result<grpc::CertificatePtr> make_certificate(const Profile& profile, EVP_PKEY& key, const X509* issuer,
                                                    EVP_PKEY& issuer_key) {
  grpc::CertificatePtr out(X509_new());
  const X509* const by = issuer == nullptr ? out.get() : issuer;
  const bool made =
      out && X509_set_version(out.get(), X509_VERSION_3) == 1 && set_serial(*out) &&
      ASN1_TIME_set(X509_getm_notBefore(out.get()), seconds_of(profile.not_before)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(out.get()), seconds_of(profile.not_after)) != nullptr &&
      set_subject(*out, profile.organisation) && X509_set_issuer_name(out.get(), X509_get_subject_name(by)) == 1 &&
      X509_set_pubkey(out.get(), &key) == 1 && add_extensions(*out, profile, by) &&
      X509_sign(out.get(), &issuer_key, EVP_sha256()) > 0;
  if (!made) return grpc::fail_openssl(base::ErrorKind::kSystem, "make a certificate");
  return out;
}

base::WallTime wall_time_of(const ASN1_TIME& time) {
  std::tm parts{};
  CHECK(ASN1_TIME_to_tm(&time, &parts) == 1);
  // Years beyond what nanoseconds can count (2262) end there.
  parts.tm_year = std::min(parts.tm_year, 2260 - 1900);
  return base::WallTime(std::chrono::seconds(::timegm(&parts)));
}

}  // namespace weft::ca
