#include "agent/certs/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>

#include "userspace-proxy/model/channel.h"

namespace weft::certs {
namespace {

using base::ErrorKind;

// What PEM_read_bio hands out; it wants all three freed.
struct Block {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<size_t>(size));
  }
};

base::Result<grpc::CertificatePtr> read_block(const Block& block) {
  const std::string_view name = block.name;
  // The name is from outside: it is not repeated.
  if (name.find("PRIVATE KEY") != std::string_view::npos)
    return base::fail(ErrorKind::kInvalid, "a private key among the certificates");
  if (name != PEM_STRING_X509) return base::fail(ErrorKind::kInvalid, "a PEM block that is no certificate");
  const unsigned char* at = block.data;
  grpc::CertificatePtr certificate(d2i_X509(nullptr, &at, block.size));
  if (!certificate) return grpc::fail_openssl(ErrorKind::kInvalid, "a certificate that is not X.509");
  if (at != block.data + block.size)
    return base::fail(ErrorKind::kInvalid, "a certificate with bytes behind its end");
  return certificate;
}

base::WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};  // 1970: neither begins nor ends in our days
  // Years of X.509 reach 9999, nanoseconds of 64 bits do not.
  constexpr time_t kEnd = 9'000'000'000;
  return base::WallTime(std::chrono::seconds(std::clamp<time_t>(timegm(&parts), 0, kEnd)));
}

}  // namespace

base::Result<std::vector<grpc::CertificatePtr>> read_strict(std::string_view pem, size_t most) {
  if (pem.size() > model::kMaxChainBytes) return base::fail(ErrorKind::kLimit, "more than 256 KiB of PEM");
  const grpc::BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<grpc::CertificatePtr> certificates;
  ERR_clear_error();
  for (;;) {
    Block block;
    if (PEM_read_bio(bio.get(), &block.name, &block.header, &block.data, &block.size) != 1) break;
    if (certificates.size() == most)
      return base::fail(ErrorKind::kLimit, "too many certificates in one text");
    TRY_ASSIGN(auto certificate, read_block(block));
    certificates.push_back(std::move(certificate));
  }
  const unsigned long code = ERR_peek_last_error();
  if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
    return grpc::fail_openssl(ErrorKind::kInvalid, "broken PEM");
  ERR_clear_error();
  if (certificates.empty()) return base::fail(ErrorKind::kInvalid, "no certificate in the text");
  return certificates;
}

base::WallTime begin_of(const X509& certificate) {
  return time_of(X509_get0_notBefore(&certificate));
}

base::WallTime end_of(const X509& certificate) {
  return time_of(X509_get0_notAfter(&certificate));
}

base::Result<grpc::RequestPtr> read_request(std::string_view der) {
  if (der.size() > model::kMaxRequestBytes)
    return base::fail(ErrorKind::kLimit, "the certificate request is too long");
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = at + der.size();
  ERR_clear_error();
  grpc::RequestPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (!request || at != end)
    return grpc::fail_openssl(ErrorKind::kInvalid, "the certificate request is no PKCS#10");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1)
    return grpc::fail_openssl(ErrorKind::kInvalid, "the certificate request is not signed with its own key");
  return request;
}

base::Result<std::string> request_to_pem(std::string_view der) {
  TRY_ASSIGN(const grpc::RequestPtr request, read_request(der));
  const grpc::BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1);
  return grpc::text_of(*bio);
}

}  // namespace weft::certs
