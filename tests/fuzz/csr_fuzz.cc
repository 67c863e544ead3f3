// Any request: a key that comes out is of a kind we certify.
#include <cstdint>
#include <string_view>

#include "agent/ca/csr.h"

using namespace weft::ca;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto key = read_requested_key({reinterpret_cast<const char*>(data), size});
  if (!key) {
    CHECK(!key.error().what.empty());
    return 0;
  }
  const int kind = EVP_PKEY_get_base_id(key->get()), bits = EVP_PKEY_get_bits(key->get());
  CHECK(kind == EVP_PKEY_EC ? bits == 256 || bits == 384 : kind == EVP_PKEY_RSA && bits >= 2048 && bits <= 4096);
  return 0;
}
