// Any frames behind a preface, toward a tunnel that accepts every request: memory stays bounded, it ends or goes on.
#include <cstdint>
#include <string>

#include "tests/support/hbone_rig.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 32'768) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  test::HboneRig rig;
  rig.accept_all = data[0] % 2 == 0;
  test::TransportPair pair;
  auto peer = std::move(pair.far);
  rig.accept(std::move(pair.near));
  peer->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const size_t piece = 1 + data[size - 1] * 4;
  for (size_t at = 0; at < input.size() && !peer->was_reset() && !peer->at_end(); at += piece) {
    peer->send(input.substr(at, piece));
    rig.turn(4);
    peer->take();
    for (auto& app : rig.accepted)
      if (app->to_send.empty()) app->say("answer");
  }
  CHECK(rig.engine().held.lent() < 64);
  rig.requests.clear();
  rig.turn(8);
  return 0;
}
