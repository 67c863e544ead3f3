#include "userspace-proxy/tls/library.h"

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "userspace-proxy/tls/gcm_cipher.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {
namespace {

constexpr int kOperations = 32;  // above every OSSL_OP_ number of OpenSSL 3

bool names(std::string_view list, std::initializer_list<std::string_view> wanted) {
  const auto first = list.substr(0, list.find(':'));
  return std::ranges::find(wanted, first) != wanted.end();
}

bool keep(int operation, const OSSL_ALGORITHM& algorithm) {
  const std::string_view list = algorithm.algorithm_names, properties = algorithm.property_definition;
  if (operation == OSSL_OP_KEYMGMT)
    return names(list, {"EC", "RSA", "RSA-PSS", "X25519", "ED25519", "HKDF", "TLS1-PRF", "HMAC"});
  if (operation == OSSL_OP_DECODER)
    return names(list, {"EC", "RSA", "RSA-PSS", "ED25519"}) &&
           properties.find("structure=SubjectPublicKeyInfo") != std::string_view::npos;
  return operation != OSSL_OP_ENCODER && operation != OSSL_OP_STORE;
}

bool replaced(int operation, std::string_view list) {
  return operation == OSSL_OP_CIPHER && std::ranges::any_of(fast_gcm(), [list](const OSSL_ALGORITHM& ours) {
           return names(ours.algorithm_names, {list.substr(0, list.find(':'))});
         });
}

// The default provider's tables as we hand them on, with our ciphers in the place of its own. Constants all: one copy
// serves all workers.
struct Tables {
  OSSL_PROVIDER* provider = OSSL_PROVIDER_load(nullptr, "default");
  std::array<std::vector<OSSL_ALGORITHM>, kOperations> kept;
  Tables() {
    for (int operation = 1; provider != nullptr && operation < kOperations; ++operation) {
      int no_cache = 0;
      const auto* at = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
      auto& table = kept[static_cast<size_t>(operation)];
      for (; at != nullptr && at->algorithm_names != nullptr; ++at)
        if (keep(operation, *at) && !replaced(operation, at->algorithm_names)) table.push_back(*at);
      if (operation == OSSL_OP_CIPHER) table.insert(table.end(), fast_gcm().begin(), fast_gcm().end());
      if (!table.empty()) table.push_back({});
    }
  }
};
const Tables& tables() {
  static const Tables made;
  return made;
}

const OSSL_ALGORITHM* query(void* /*context*/, int operation, int* no_cache) {
  *no_cache = 0;
  if (operation < 0 || operation >= kOperations) return nullptr;
  const auto& table = tables().kept[static_cast<size_t>(operation)];
  return table.empty() ? nullptr : table.data();
}

int capabilities(void* /*context*/, const char* capability, OSSL_CALLBACK* callback, void* arg) {
  return OSSL_PROVIDER_get_capabilities(tables().provider, capability, callback, arg);
}

// Whose algorithms the provider that is being loaded in this thread runs: init() has no argument of its own.
thread_local void* default_context = nullptr;

int init(const OSSL_CORE_HANDLE* /*handle*/, const OSSL_DISPATCH* /*in*/, const OSSL_DISPATCH** out, void** context) {
  static const OSSL_DISPATCH functions[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(capabilities)},
      {0, nullptr},
  };
  *out = functions;
  *context = default_context;
  return default_context != nullptr ? 1 : 0;
}

}  // namespace

base::Result<Library> Library::create() {
  Library made;
  made.whole_.reset(OSSL_LIB_CTX_new());
  made.slim_.reset(OSSL_LIB_CTX_new());
  if (made.whole_) made.default_.reset(OSSL_PROVIDER_load(made.whole_.get(), "default"));
  if (made.slim_ && made.default_ && tables().provider != nullptr &&
      OSSL_PROVIDER_add_builtin(made.slim_.get(), "weft", init) == 1) {
    default_context = OSSL_PROVIDER_get0_provider_ctx(made.default_.get());
    made.ours_.reset(OSSL_PROVIDER_load(made.slim_.get(), "weft"));
    default_context = nullptr;
  }
  if (!made.ours_) return base::fail(base::ErrorKind::kSystem, "OpenSSL library context: " + openssl_complaint());
  return made;
}

}  // namespace weft::tls
