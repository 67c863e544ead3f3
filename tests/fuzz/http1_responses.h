#pragma once
#include <string>

#include "tests/fuzz/http1_oracle.h"
#include "tests/support/http_rig.h"

namespace weft::fuzz {

// What a client has to see of one request, whatever the destination sent: interim responses first, each
// complete; then one final response, or a cut connection. `head`: the request was HEAD.
template <typename Client>
void check_responses(std::string got, const Client& client, bool head) {
  for (;;) {
    const bool interim = got.starts_with("HTTP/1.1 1");
    const auto reading = read_with_beast<false>(got, head || interim);
    if (!reading.whole) {
      CHECK(client.was_reset() || client.at_end());
      return;
    }
    got.erase(0, reading.used);
    if (!interim) break;
  }
  CHECK(got.empty());
}

}  // namespace weft::fuzz
