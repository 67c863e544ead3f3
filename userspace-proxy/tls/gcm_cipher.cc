#include "userspace-proxy/tls/gcm_cipher.h"

#ifdef WEFT_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace weft::tls {
namespace {

constexpr size_t kNonce = 12, kTag = 16, kMostAdditional = 64;

// The library's functions for this processor; constant once made. Null without AES instructions.
const IMB_MGR* functions() {
  static const IMB_MGR* const found = [] {
    IMB_MGR* const manager = alloc_mb_mgr(0);
    if (manager == nullptr) return manager;
    constexpr uint64_t kNeeds = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
    if ((manager->features & kNeeds) != kNeeds) {
      free_mb_mgr(manager);
      return static_cast<IMB_MGR*>(nullptr);
    }
    init_mb_mgr_auto(manager, nullptr);
    return manager;
  }();
  return found;
}

template <size_t kBits>
struct Aes;
template <>
struct Aes<128> {
  static void expand(const void* key, gcm_key_data* to) { IMB_AES128_GCM_PRE(functions(), key, to); }
  static constexpr auto kInit = &IMB_MGR::gcm128_init;
  static constexpr auto kEncrypt = &IMB_MGR::gcm128_enc_update, kDecrypt = &IMB_MGR::gcm128_dec_update;
  static constexpr auto kSeal = &IMB_MGR::gcm128_enc_finalize, kOpen = &IMB_MGR::gcm128_dec_finalize;
};
template <>
struct Aes<256> {
  static void expand(const void* key, gcm_key_data* to) { IMB_AES256_GCM_PRE(functions(), key, to); }
  static constexpr auto kInit = &IMB_MGR::gcm256_init;
  static constexpr auto kEncrypt = &IMB_MGR::gcm256_enc_update, kDecrypt = &IMB_MGR::gcm256_dec_update;
  static constexpr auto kSeal = &IMB_MGR::gcm256_enc_finalize, kOpen = &IMB_MGR::gcm256_dec_finalize;
};

// One direction of one connection.
//
//   kIdle --(nonce)--> kReady --(first bytes)--> kText --(final)--> kIdle; any failure --> kIdle
template <size_t kBits>
class Cipher {
 public:
  static constexpr size_t kKey = kBits / 8;
  enum class Step : uint8_t { kIdle, kReady, kText };

  Cipher() = default;
  ~Cipher() {
    OPENSSL_cleanse(&key_, sizeof key_);
    OPENSSL_cleanse(&state_, sizeof state_);
  }

  bool begin(bool encrypt, const unsigned char* key, size_t key_size, const unsigned char* nonce, size_t nonce_size) {
    encrypt_ = encrypt;
    step_ = Step::kIdle;
    additional_size_ = 0;
    if (key != nullptr) {
      if (key_size != kKey) return false;
      Aes<kBits>::expand(key, &key_);
      has_key_ = true;
    }
    if (nonce == nullptr) return true;
    if (nonce_size != kNonce) return false;
    std::memcpy(nonce_.data(), nonce, kNonce);
    step_ = Step::kReady;
    return true;
  }

  bool add(const unsigned char* bytes, size_t size) {
    if (step_ != Step::kReady || additional_size_ != 0 || size > kMostAdditional) {
      step_ = Step::kIdle;  // nothing is sealed or opened without what was refused
      return false;
    }
    std::memcpy(additional_.data(), bytes, size);
    additional_size_ = size;
    return true;
  }

  bool run(unsigned char* to, const unsigned char* from, size_t size) {
    if (!begin_text()) return false;
    const auto update = encrypt_ ? Aes<kBits>::kEncrypt : Aes<kBits>::kDecrypt;
    (functions()->*update)(&key_, &state_, to, from, size);
    return true;
  }

  bool finish() {
    if (!begin_text()) return false;
    step_ = Step::kIdle;  // a nonce is used once
    std::array<unsigned char, kTag> tag{};
    const auto finalize = encrypt_ ? Aes<kBits>::kSeal : Aes<kBits>::kOpen;
    (functions()->*finalize)(&key_, &state_, tag.data(), kTag);
    if (encrypt_) {
      tag_ = tag;
      return true;
    }
    return std::exchange(has_tag_, false) && CRYPTO_memcmp(tag.data(), tag_.data(), kTag) == 0;
  }

  bool expect_tag(const OSSL_PARAM& param) {
    if (encrypt_ || param.data_type != OSSL_PARAM_OCTET_STRING || param.data_size != kTag) return false;
    if (param.data == nullptr) return true;  // its size only
    std::memcpy(tag_.data(), param.data, kTag);
    has_tag_ = true;
    return true;
  }
  bool tell_tag(OSSL_PARAM& param) const {
    return encrypt_ && param.data_size == kTag && OSSL_PARAM_set_octet_string(&param, tag_.data(), kTag) == 1;
  }

 private:
  bool begin_text() {
    if (step_ == Step::kText) return true;
    if (step_ != Step::kReady || !has_key_) return false;
    (functions()->*Aes<kBits>::kInit)(&key_, &state_, nonce_.data(), additional_.data(), additional_size_);
    step_ = Step::kText;
    return true;
  }

  gcm_key_data key_;
  gcm_context_data state_{};
  std::array<unsigned char, kNonce> nonce_{};
  std::array<unsigned char, kTag> tag_{};
  std::array<unsigned char, kMostAdditional> additional_{};
  size_t additional_size_ = 0;
  Step step_ = Step::kIdle;
  bool encrypt_ = false, has_key_ = false, has_tag_ = false;
};

// OpenSSL's way to call all that.
template <size_t kBits>
struct Calls {
  using Self = Cipher<kBits>;
  static Self& self(void* context) { return *static_cast<Self*>(context); }

  static void* make(void* /*provider*/) { return new (std::nothrow) Self; }
  static void free(void* context) { delete &self(context); }
  static int encrypt_init(void* context, const unsigned char* key, size_t key_size, const unsigned char* nonce,
                          size_t nonce_size, const OSSL_PARAM params[]) {
    return self(context).begin(true, key, key_size, nonce, nonce_size) ? set(context, params) : 0;
  }
  static int decrypt_init(void* context, const unsigned char* key, size_t key_size, const unsigned char* nonce,
                          size_t nonce_size, const OSSL_PARAM params[]) {
    return self(context).begin(false, key, key_size, nonce, nonce_size) ? set(context, params) : 0;
  }
  static int update(void* context, unsigned char* to, size_t* written, size_t room, const unsigned char* from,
                    size_t size) {
    *written = 0;
    if (size == 0) return 1;
    if (to == nullptr) return self(context).add(from, size) ? 1 : 0;
    if (room < size || !self(context).run(to, from, size)) return 0;
    *written = size;
    return 1;
  }
  static int final(void* context, unsigned char* /*to*/, size_t* written, size_t /*room*/) {
    *written = 0;
    return self(context).finish() ? 1 : 0;
  }

  static int constants(OSSL_PARAM params[]) {
    const auto tell = [params](const char* name, auto set, auto value) {
      OSSL_PARAM* const param = OSSL_PARAM_locate(params, name);
      return param == nullptr || set(param, value) == 1;
    };
    return tell(OSSL_CIPHER_PARAM_MODE, OSSL_PARAM_set_uint, unsigned{EVP_CIPH_GCM_MODE}) &&
                   tell(OSSL_CIPHER_PARAM_AEAD, OSSL_PARAM_set_int, 1) &&
                   tell(OSSL_CIPHER_PARAM_CUSTOM_IV, OSSL_PARAM_set_int, 1) &&
                   tell(OSSL_CIPHER_PARAM_KEYLEN, OSSL_PARAM_set_size_t, Self::kKey) &&
                   tell(OSSL_CIPHER_PARAM_BLOCK_SIZE, OSSL_PARAM_set_size_t, size_t{1}) &&
                   tell(OSSL_CIPHER_PARAM_IVLEN, OSSL_PARAM_set_size_t, kNonce)
               ? 1
               : 0;
  }
  // Params are few: one pass, no look-up by name for those that were not asked for.
  static int get(void* context, OSSL_PARAM params[]) {
    for (OSSL_PARAM* param = params; param->key != nullptr; ++param) {
      bool fine = true;
      if (std::strcmp(param->key, OSSL_CIPHER_PARAM_IVLEN) == 0)
        fine = OSSL_PARAM_set_size_t(param, kNonce) == 1;
      else if (std::strcmp(param->key, OSSL_CIPHER_PARAM_KEYLEN) == 0)
        fine = OSSL_PARAM_set_size_t(param, Self::kKey) == 1;
      else if (std::strcmp(param->key, OSSL_CIPHER_PARAM_AEAD_TAGLEN) == 0)
        fine = OSSL_PARAM_set_size_t(param, kTag) == 1;
      else if (std::strcmp(param->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0)
        fine = self(context).tell_tag(*param);
      if (!fine) return 0;
    }
    return 1;
  }
  static int set(void* context, const OSSL_PARAM params[]) {
    for (const OSSL_PARAM* param = params; param != nullptr && param->key != nullptr; ++param) {
      size_t size = 0;
      if (std::strcmp(param->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
        if (!self(context).expect_tag(*param)) return 0;
      } else if (std::strcmp(param->key, OSSL_CIPHER_PARAM_AEAD_IVLEN) == 0) {
        if (OSSL_PARAM_get_size_t(param, &size) != 1 || size != kNonce) return 0;
      } else {
        return 0;  // nonces of TLS 1.2 and the like
      }
    }
    return 1;
  }
  static const OSSL_PARAM* gettable_constants(void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_uint(OSSL_CIPHER_PARAM_MODE, nullptr),
                                      OSSL_PARAM_int(OSSL_CIPHER_PARAM_AEAD, nullptr),
                                      OSSL_PARAM_int(OSSL_CIPHER_PARAM_CUSTOM_IV, nullptr),
                                      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),
                                      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_BLOCK_SIZE, nullptr),
                                      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, nullptr),
                                      OSSL_PARAM_END};
    return list;
  }
  static const OSSL_PARAM* gettable(void*, void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, nullptr),
                                      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),
                                      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, nullptr),
                                      OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, 0), OSSL_PARAM_END};
    return list;
  }
  static const OSSL_PARAM* settable(void*, void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, nullptr),
                                      OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, 0), OSSL_PARAM_END};
    return list;
  }

  template <typename Function>
  static OSSL_DISPATCH entry(int id, Function* function) {
    return {id, reinterpret_cast<void (*)()>(function)};
  }
  static const OSSL_DISPATCH* dispatch() {
    static const OSSL_DISPATCH list[] = {entry(OSSL_FUNC_CIPHER_NEWCTX, make),
                                         entry(OSSL_FUNC_CIPHER_FREECTX, free),
                                         entry(OSSL_FUNC_CIPHER_ENCRYPT_INIT, encrypt_init),
                                         entry(OSSL_FUNC_CIPHER_DECRYPT_INIT, decrypt_init),
                                         entry(OSSL_FUNC_CIPHER_UPDATE, update),
                                         entry(OSSL_FUNC_CIPHER_FINAL, final),
                                         entry(OSSL_FUNC_CIPHER_GET_PARAMS, constants),
                                         entry(OSSL_FUNC_CIPHER_GET_CTX_PARAMS, get),
                                         entry(OSSL_FUNC_CIPHER_SET_CTX_PARAMS, set),
                                         entry(OSSL_FUNC_CIPHER_GETTABLE_PARAMS, gettable_constants),
                                         entry(OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, gettable),
                                         entry(OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, settable),
                                         {0, nullptr}};
    return list;
  }
};

}  // namespace

std::span<const OSSL_ALGORITHM> fast_gcm() {
  static const std::array<OSSL_ALGORITHM, 2> both = {
      {{"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", "provider=weft", Calls<256>::dispatch(), nullptr},
       {"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", "provider=weft", Calls<128>::dispatch(), nullptr}}};
  if (functions() == nullptr) return {};
  return both;
}

}  // namespace weft::tls
#else
namespace weft::tls {
std::span<const OSSL_ALGORITHM> fast_gcm() {
  return {};
}
}  // namespace weft::tls
#endif
