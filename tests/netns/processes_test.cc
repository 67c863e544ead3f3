// The searches of other processes find what is there: otherwise what they do not find proves nothing.
#include "tests/support/processes.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "tests/support/netns_harness.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {
namespace {

struct OwnKey {
  OwnKey() : key(EVP_EC_gen("P-256"), &EVP_PKEY_free) {}
  [[nodiscard]] std::string pem(bool pkcs8) const {
    BIO* out = BIO_new(BIO_s_mem());
    if (pkcs8)
      PEM_write_bio_PKCS8PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    else
      PEM_write_bio_PrivateKey_traditional(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(out);
  }
  [[nodiscard]] std::string der() const {
    BIO* out = BIO_new(BIO_s_mem());
    i2d_PKCS8PrivateKey_bio(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(out);
  }
  [[nodiscard]] std::string scalar(bool little_endian) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, &number);
    std::string bytes(32, '\0');
    auto* raw = reinterpret_cast<unsigned char*>(bytes.data());
    little_endian ? BN_bn2lebinpad(number, raw, 32) : BN_bn2binpad(number, raw, 32);
    BN_free(number);
    return bytes;
  }
  static std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }
  PublicKey key;
};

std::string certificate_of(EVP_PKEY* key) {
  X509* certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, certificate);
  X509_free(certificate);
  return OwnKey::text_of(out);
}

TEST(Processes, rights_are_read_and_what_is_missing_counts_as_the_widest) {
  const Rights rights = rights_in(
      "Name:\tx\nUid:\t0\t65534\t0\t0\nCapEff:\t0000000000001000\nCapBnd:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n");
  EXPECT_EQ(rights.uid, 65534u);
  EXPECT_EQ(rights.effective, 0x1000u);
  EXPECT_EQ(rights.bounding, 0u);
  EXPECT_TRUE(rights.no_new_privileges);
  EXPECT_EQ(rights.seccomp, 2);
  EXPECT_EQ(rights_in("").effective, ~0ull);
  EXPECT_EQ(rights_in("").seccomp, -1);
}

TEST(Processes, private_keys_are_known_in_every_form_and_headers_alone_are_none) {
  const OwnKey key;
  for (const std::string& form : {key.pem(true), key.pem(false), key.der(), "..." + key.der() + "..."})
    EXPECT_EQ(count_private_keys(form), 1u) << form;
  EXPECT_EQ(count_private_keys("-----BEGIN PRIVATE KEY-----"), 0u);
  EXPECT_EQ(count_private_keys("-----BEGIN %s PRIVATE KEY-----\n"), 0u);
  EXPECT_EQ(count_private_keys(certificate_of(key.key.get())), 0u);
}

TEST(Processes, the_bare_number_of_a_key_is_found_in_both_byte_orders) {
  const OwnKey key, other;
  for (const bool little_endian : {true, false}) {
    size_t left = 1000;
    std::set<std::string> found;
    const std::string bytes = std::string(64, 'x') + key.scalar(little_endian) + std::string(64, 'y');
    find_scalars(bytes, {key.key, other.key}, &left, &found);
    EXPECT_EQ(found.size(), 1u) << little_endian;
    found.clear();
    find_scalars(bytes, {other.key}, &left, &found);
    EXPECT_TRUE(found.empty());
  }
}

TEST(Processes, another_processs_memory_is_searched_for_keys_and_for_bytes) {
  OwnKey key;
  const std::string certificate = certificate_of(key.key.get());
  const auto sleeper = [](const std::string& text) {
    return [text] {
      std::string held = text;
      ::sleep(60);
      return held;
    };
  };
  Child with_key({}, sleeper(key.pem(true) + certificate));
  EXPECT_GT(private_keys_in_memory(with_key.pid()), 0u);
  EXPECT_TRUE(memory_holds(with_key.pid(), certificate));
  EXPECT_FALSE(memory_holds(with_key.pid(), certificate + "\x01\x02 never written"));
  // The fork has this process's memory: the key object itself is in it.
  EXPECT_GE(certificate_keys_in_memory(with_key.pid()).size(), 1u);
  EXPECT_EQ(scalars_in_memory(with_key.pid(), {key.key}), 1);
  EXPECT_EQ(scalars_in_memory(with_key.pid(), {OwnKey().key}), 0);
  with_key.kill();
}

TEST(Processes, memory_that_cannot_be_read_is_not_called_clean) {
  EXPECT_EQ(private_keys_in_memory(-1), SIZE_MAX);
  EXPECT_EQ(scalars_in_memory(-1, {OwnKey().key}), -1);
}

TEST(Processes, files_with_keys_are_named) {
  const ScratchDir dir;
  const OwnKey key;
  std::ofstream(dir / "clean") << certificate_of(key.key.get());
  std::ofstream(dir / "key.pem") << key.pem(false);
  EXPECT_EQ(files_with_private_keys(dir.path()), (std::vector<std::string>{dir / "key.pem"}));
}

TEST(Processes, processes_are_found_by_name_and_cgroup) {
  std::ifstream comm("/proc/self/comm");
  std::string name;
  std::getline(comm, name);
  const auto pids = processes_named(name, "");
  EXPECT_TRUE(std::ranges::find(pids, ::getpid()) != pids.end());
  EXPECT_TRUE(processes_named(name, "no such cgroup").empty());
}

}  // namespace
}  // namespace weft::test
