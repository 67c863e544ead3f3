// AES-GCM as TLS uses it, of our provider and of OpenSSL's: whatever one seals the other opens.
#include "userspace-proxy/tls/gcm_cipher.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <memory>
#include <random>
#include <string>

#include "userspace-proxy/tls/library.h"

namespace weft::tls {
namespace {

struct Free {
  void operator()(EVP_CIPHER* x) const { EVP_CIPHER_free(x); }
  void operator()(EVP_CIPHER_CTX* x) const { EVP_CIPHER_CTX_free(x); }
};
using CipherPtr = std::unique_ptr<EVP_CIPHER, Free>;
using ContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Free>;

const unsigned char* bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

struct Message {
  std::string nonce, additional, text;
};

// As OpenSSL's record layer does it: the key once, then nonce, tag, header and text of each message, in place.
class Side {
 public:
  Side(OSSL_LIB_CTX* library, const char* name, bool seals, const std::string& key)
      : seals_(seals), cipher_(EVP_CIPHER_fetch(library, name, nullptr)), context_(EVP_CIPHER_CTX_new()) {
    EXPECT_NE(cipher_, nullptr);
    EXPECT_EQ(EVP_CipherInit_ex(context_.get(), cipher_.get(), nullptr, nullptr, nullptr, seals), 1);
    EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_IVLEN, 12, nullptr), 1);
    EXPECT_EQ(EVP_CipherInit_ex(context_.get(), nullptr, nullptr, bytes(key), nullptr, -1), 1);
  }
  // The sealed message with its tag.
  std::string seal(const Message& message) {
    std::string out = message.text + std::string(16, '\0');
    EXPECT_TRUE(begin(message));
    EXPECT_TRUE(run(out, message.text.size()));
    EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, 16, bytes(out) + message.text.size()), 1);
    return out;
  }
  // Whether it holds; the text is in `out`.
  bool open(const Message& message, const std::string& sealed, std::string& out) {
    std::string tag = sealed.substr(sealed.size() - 16);
    out = sealed.substr(0, sealed.size() - 16);
    return EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, 16, tag.data()) == 1 && begin(message) &&
           run(out, out.size());
  }
  bool begin(const Message& message) {
    int written = 0;
    return EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, bytes(message.nonce), seals_) == 1 &&
           EVP_CipherUpdate(context_.get(), nullptr, &written, bytes(message.additional),
                            static_cast<int>(message.additional.size())) == 1;
  }
  bool run(std::string& text, size_t size) {
    int written = 0, last = 0;
    return EVP_CipherUpdate(context_.get(), bytes(text), &written, bytes(text), static_cast<int>(size)) == 1 &&
           EVP_CipherFinal_ex(context_.get(), bytes(text) + written, &last) == 1 &&
           static_cast<size_t>(written + last) == size;
  }
  [[nodiscard]] std::string provider() const {
    return OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher_.get()));
  }

 private:
  bool seals_;
  CipherPtr cipher_;
  ContextPtr context_;
};

struct GcmCipherTest : testing::TestWithParam<const char*> {
  std::string random(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(engine());
    return out;
  }
  [[nodiscard]] size_t key_size() const { return std::string_view(GetParam()).find("256") != std::string_view::npos ? 32 : 16; }
  Message message(size_t size) { return {random(12), random(5), random(size)}; }

  std::minstd_rand engine{7};
  Library library = *Library::create();
  const std::string key = random(key_size());
};

TEST_P(GcmCipherTest, is_ours_where_the_processor_has_it) {
  EXPECT_EQ(Side(library.get(), GetParam(), true, key).provider(), "weft");
  EXPECT_EQ(fast_gcm().size(), __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0 ? 2u : 0u);
}

TEST_P(GcmCipherTest, what_it_seals_openssl_opens_and_the_other_way_round) {
  Side our_seal(library.get(), GetParam(), true, key), our_open(library.get(), GetParam(), false, key);
  Side their_seal(nullptr, GetParam(), true, key), their_open(nullptr, GetParam(), false, key);
  EXPECT_EQ(their_seal.provider(), "default");
  for (size_t size = 1; size <= 17'000; size += 1 + size / 3) {
    const Message m = message(size);
    const std::string sealed = our_seal.seal(m);
    EXPECT_EQ(sealed, their_seal.seal(m)) << size;
    std::string text;
    EXPECT_TRUE(their_open.open(m, sealed, text));
    EXPECT_EQ(text, m.text);
    EXPECT_TRUE(our_open.open(m, sealed, text));
    EXPECT_EQ(text, m.text);
  }
}

TEST_P(GcmCipherTest, one_flipped_bit_anywhere_is_refused_and_the_next_message_still_opens) {
  Side seal(library.get(), GetParam(), true, key), open(library.get(), GetParam(), false, key);
  for (size_t at = 0; at < 100 + 16; ++at) {
    const Message m = message(100);
    const std::string good = seal.seal(m);
    std::string bad = good, text;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    EXPECT_FALSE(open.open(m, bad, text)) << at;
    EXPECT_TRUE(open.open(m, good, text));
  }
  const Message m = message(100);
  const std::string sealed = seal.seal(m);
  std::string text;
  EXPECT_FALSE(open.open({m.nonce, random(5), {}}, sealed, text)) << "other header";
  EXPECT_FALSE(open.open({random(12), m.additional, {}}, sealed, text)) << "other nonce";
}

TEST_P(GcmCipherTest, without_a_tag_or_a_nonce_of_its_own_nothing_opens_and_nothing_is_sealed) {
  Side seal(library.get(), GetParam(), true, key), open(library.get(), GetParam(), false, key);
  const Message m = message(64);
  std::string sealed = seal.seal(m), text = m.text;
  EXPECT_FALSE(seal.run(text, text.size())) << "a nonce is good for one message";
  EXPECT_TRUE(open.open(m, sealed, text));
  text = sealed.substr(0, 64);
  EXPECT_TRUE(open.begin(m));
  EXPECT_FALSE(open.run(text, text.size())) << "the last message's tag is not this one's";
}

TEST_P(GcmCipherTest, what_a_record_never_needs_is_refused) {
  Side seal(library.get(), GetParam(), true, key);
  EXPECT_FALSE(seal.begin({random(12), random(65), {}})) << "more additional data than it keeps";
  std::string text = random(32);
  EXPECT_FALSE(seal.run(text, text.size())) << "nor is anything sealed without it";
  EXPECT_TRUE(seal.begin({random(12), random(64), {}}));
  const CipherPtr cipher(EVP_CIPHER_fetch(library.get(), GetParam(), nullptr));
  const ContextPtr context(EVP_CIPHER_CTX_new());
  ASSERT_EQ(EVP_CipherInit_ex(context.get(), cipher.get(), nullptr, nullptr, nullptr, 1), 1);
  EXPECT_NE(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, 8, nullptr), 1) << "a short nonce";
  EXPECT_EQ(EVP_CIPHER_get_mode(cipher.get()), EVP_CIPH_GCM_MODE);
  EXPECT_EQ(EVP_CIPHER_get_key_length(cipher.get()), static_cast<int>(key_size()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, GcmCipherTest, testing::Values("AES-128-GCM", "AES-256-GCM"));

}  // namespace
}  // namespace weft::tls
