#include "agent/grpc/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace weft::grpc {
namespace {

// An encrypted PEM fails instead of asking the terminal.
int no_password(char*, int, int, void*) {
  return 0;
}

}  // namespace

std::string openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

std::unexpected<base::Error> fail_openssl(base::ErrorKind kind, std::string what) {
  return base::fail(kind, std::move(what) + ": " + openssl_error());
}

BioPtr bio_of(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(std::min(text.size(), kMaxPem))));
}

std::string text_of(BIO& memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&memory, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

base::Result<std::vector<CertificatePtr>> read_certificates(std::string_view pem) {
  if (pem.size() > kMaxPem) return base::fail(base::ErrorKind::kLimit, "certificates: more than 256 KiB of PEM");
  const BioPtr bio = bio_of(pem);
  ERR_clear_error();
  std::vector<CertificatePtr> out;
  while (CertificatePtr next{PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)}) {
    if (out.size() == kMaxCertificates)
      return base::fail(base::ErrorKind::kLimit, "certificates: more than 64 in one text");
    out.push_back(std::move(next));
  }
  // Reading ends well only by finding no further BEGIN.
  const unsigned long code = ERR_peek_last_error();
  const bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (!end) return fail_openssl(base::ErrorKind::kInvalid, "certificates: broken PEM");
  ERR_clear_error();
  if (out.empty()) return base::fail(base::ErrorKind::kInvalid, "certificates: none in the text");
  return out;
}

base::Result<KeyPtr> read_private_key(std::string_view pem) {
  if (pem.size() > kMaxPem) return base::fail(base::ErrorKind::kLimit, "private key: more than 256 KiB of PEM");
  const BioPtr bio = bio_of(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!key) return fail_openssl(base::ErrorKind::kInvalid, "private key");
  return key;
}

base::Result<RequestPtr> read_request(std::string_view pem) {
  const BioPtr bio = bio_of(pem);
  RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, no_password, nullptr));
  if (!request) return fail_openssl(base::ErrorKind::kInvalid, "certificate request");
  return request;
}

std::string write_certificate(const X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(bio.get(), &certificate) == 1);
  return text_of(*bio);
}

std::string write_private_key(const EVP_PKEY& key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(*bio);
}

}  // namespace weft::grpc
