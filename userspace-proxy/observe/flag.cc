#include "userspace-proxy/observe/flag.h"

#include <array>

namespace weft::observe {

std::string_view name_of(Flag flag) {
  static constexpr std::array<std::string_view, static_cast<size_t>(Flag::kCount)> kNames = {
      "-",  "UH", "UF",  "UO", "NR", "NC", "DC", "DPE",  "DR",     "UT",
      "UR", "UC", "UPE", "LR", "SI", "DT", "OM", "DENY", "CONNECT",
      "TLS_FAILURE", "IDENTITY_ERROR", "H2_HANDSHAKE_FAILURE", "NETWORK_POLICY"};
  return kNames[static_cast<size_t>(flag)];
}

}  // namespace weft::observe
