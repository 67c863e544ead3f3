#include "tests/support/test_ca.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "userspace-proxy/base/result.h"

namespace weft::test {
namespace {

struct Free {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(X509_REQ* x) const { X509_REQ_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(BIO* x) const { BIO_free(x); }
  void operator()(X509_EXTENSION* x) const { X509_EXTENSION_free(x); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<EVP_PKEY> make_key(bool rsa) {
  return Owned<EVP_PKEY>(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(bio.get());
}

void add(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::string names_of(const LeafSpec& spec) {
  std::string names;
  for (const auto& uri : spec.uris) names += (names.empty() ? "URI:" : ",URI:") + uri;
  for (const auto& dns : spec.dns) names += (names.empty() ? "DNS:" : ",DNS:") + dns;
  return names;
}

Owned<X509> make_certificate(const LeafSpec& spec, EVP_PKEY* key) {
  Owned<X509> made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  unsigned char serial[16];
  CHECK(RAND_bytes(serial, sizeof serial) == 1);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made.get()));
  BN_free(number);
  const auto now = ::time(nullptr);
  ASN1_TIME_set(X509_getm_notBefore(made.get()), spec.not_before != 0 ? spec.not_before : now - 300);
  ASN1_TIME_set(X509_getm_notAfter(made.get()), spec.not_after != 0 ? spec.not_after : now + 3600);
  if (!spec.common_name.empty())
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.common_name.data()),
                               static_cast<int>(spec.common_name.size()), -1, 0);
  X509_set_pubkey(made.get(), key);
  return made;
}

void add_extensions(X509* made, X509* issuer, const LeafSpec& spec, X509_REQ* request) {
  if (spec.is_ca) add(made, issuer, NID_basic_constraints, "critical,CA:TRUE");
  if (spec.is_ca) add(made, issuer, NID_subject_key_identifier, "hash");
  if (!spec.key_usage.empty()) add(made, issuer, NID_key_usage, spec.key_usage);
  if (!spec.extended_key_usage.empty()) add(made, issuer, NID_ext_key_usage, spec.extended_key_usage);
  const auto names = names_of(spec);
  if (!names.empty())
    add(made, issuer, NID_subject_alt_name, (spec.common_name.empty() ? "critical," : "") + names);
  if (!names.empty() || request == nullptr) return;
  auto* wanted = X509_REQ_get_extensions(request);
  const int at = X509v3_get_ext_by_NID(wanted, NID_subject_alt_name, -1);
  CHECK(at >= 0);
  CHECK(X509_add_ext(made, X509v3_get_ext(wanted, at), -1) == 1);
  sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
}

LeafSpec authority(std::string_view name) {
  LeafSpec spec;
  spec.uris.clear();
  spec.extended_key_usage.clear();
  spec.key_usage = "critical,keyCertSign,cRLSign";
  spec.is_ca = true;
  spec.common_name = name;
  spec.not_after = ::time(nullptr) + 10L * 365 * 86400;
  spec.not_before = 1'600'000'000;  // below the fake clock's wall time
  return spec;
}

}  // namespace

struct TestCa::Parts {
  Owned<X509> certificate;
  Owned<EVP_PKEY> key;
  std::string certificate_pem, key_pem;
  std::string above;  // chain from this authority up, without the root

  Issued finish(const LeafSpec& spec, EVP_PKEY* subject_key, X509_REQ* request) const {
    const auto made = make_certificate(spec, subject_key);
    X509_set_issuer_name(made.get(), X509_get_subject_name(certificate.get()));
    add_extensions(made.get(), certificate.get(), spec, request);
    CHECK(X509_sign(made.get(), key.get(), EVP_sha256()) > 0);
    const auto pem = pem_of(made.get());
    return {pem, pem + above, ""};
  }
};

TestCa::TestCa(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TestCa::~TestCa() = default;
TestCa::TestCa(TestCa&&) noexcept = default;
TestCa& TestCa::operator=(TestCa&&) noexcept = default;

TestCa::TestCa(std::string_view name) : parts_(std::make_unique<Parts>()) {
  const auto spec = authority(name);
  parts_->key = make_key(false);
  parts_->certificate = make_certificate(spec, parts_->key.get());
  auto* root = parts_->certificate.get();
  X509_set_issuer_name(root, X509_get_subject_name(root));
  add_extensions(root, root, spec, nullptr);
  CHECK(X509_sign(root, parts_->key.get(), EVP_sha256()) > 0);
  parts_->certificate_pem = pem_of(root);
  parts_->key_pem = pem_of(parts_->key.get());
}

const std::string& TestCa::certificate_pem() const {
  return parts_->certificate_pem;
}
const std::string& TestCa::key_pem() const {
  return parts_->key_pem;
}

TestCa TestCa::intermediate(std::string_view name) const {
  auto below = std::make_unique<Parts>();
  below->key = make_key(false);
  below->key_pem = pem_of(below->key.get());
  const auto issued = parts_->finish(authority(name), below->key.get(), nullptr);
  below->certificate_pem = issued.certificate_pem;
  below->above = issued.chain_pem;
  const Owned<BIO> bio(BIO_new_mem_buf(issued.certificate_pem.data(), -1));
  below->certificate.reset(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  return TestCa(std::move(below));
}

Issued TestCa::issue(const LeafSpec& spec) const {
  const auto key = make_key(spec.rsa);
  auto issued = parts_->finish(spec, key.get(), nullptr);
  issued.key_pem = pem_of(key.get());
  return issued;
}

Issued TestCa::sign(std::string_view request, const LeafSpec& spec) const {
  const Owned<BIO> bio(BIO_new_mem_buf(request.data(), static_cast<int>(request.size())));
  const bool pem = request.starts_with("-----");
  const Owned<X509_REQ> parsed(pem ? PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr)
                                   : d2i_X509_REQ_bio(bio.get(), nullptr));
  CHECK(parsed != nullptr);
  return parts_->finish(spec, X509_REQ_get0_pubkey(parsed.get()), parsed.get());
}

Issued TestCa::self_signed(const LeafSpec& spec) {
  const auto key = make_key(spec.rsa);
  const auto made = make_certificate(spec, key.get());
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  add_extensions(made.get(), made.get(), spec, nullptr);
  CHECK(X509_sign(made.get(), key.get(), EVP_sha256()) > 0);
  const auto pem = pem_of(made.get());
  return {pem, pem, pem_of(key.get())};
}

}  // namespace weft::test
