// Any bytes to a server and to a client that shake hands: neither may succeed, both end within their time, and what
// they send back stays within bounds. The first byte says how the rest is cut.
#include <cstdint>
#include <string_view>

#include "tests/support/tls_rig.h"

using namespace weft;

namespace {

void play(test::TlsRig& rig, bool server, std::string_view input, size_t piece) {
  test::TransportPair pair;
  test::Shaken shaken;
  size_t answered = 0;
  rig.start(server ? rig.server : rig.client, shaken, std::move(pair.near), server ? rig.as_server() : rig.as_client());
  for (size_t at = 0; at < input.size() && !shaken.done(); at += piece) {
    const auto part = input.substr(at, piece);
    const iovec bytes{const_cast<char*>(part.data()), part.size()};
    (void)pair.far->write({&bytes, 1});
    rig.turn(2);
    answered += pair.far->take().size();
  }
  rig.clock.advance(tls::kHandshakeTimeout + base::Millis(20));
  rig.turn(3);
  CHECK(shaken.done() && !shaken.good());
  CHECK(!shaken.error().what.empty());
  CHECK(answered + pair.far->take().size() < 32 * 1024);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 20'000) return 0;
  auto rig = std::make_unique<test::TlsRig>();  // certificates last an hour by its clock
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  play(*rig, true, input, input.size());
  play(*rig, true, input, 1 + data[0]);
  play(*rig, false, input, input.size());
  return 0;
}
