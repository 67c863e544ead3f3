#include "userspace-proxy/tls/openssl.h"

#include <openssl/err.h>

#include <array>

namespace weft::tls {

std::string openssl_complaint() {
  const auto code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  if (const char* reason = ERR_reason_error_string(code); reason != nullptr) return reason;
  std::array<char, 256> text;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

}  // namespace weft::tls
