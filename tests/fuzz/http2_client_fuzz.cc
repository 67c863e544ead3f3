// Any frames as the answer of a destination that speaks HTTP/2: an HTTP/1 client gets complete responses,
// read by a second parser as we wrote them, or is cut so that it notices.
#include <cstdint>
#include <string>

#include "tests/fuzz/http1_responses.h"
#include "tests/support/http_rig.h"

using namespace weft;

namespace {

// What was never sent may be asked again on another connection, which ends at once.
void end_all(test::HttpRig& rig) {
  for (int tries = 0; tries < 8; ++tries) {
    for (auto& server : rig.accepted)
      if (!server->at_end()) server->shutdown_write();
    rig.turn();
    if (rig.waiting(1001) == 0) return;
    while (rig.waiting(1001) > 0) rig.accept(1001);
  }
}

void play(std::string_view input, size_t piece) {
  test::HttpRig rig;
  rig.snapshot.clusters[0].protocol = model::Protocol::kHttp2;
  auto& client = rig.connect_client();
  rig.say(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto& server = rig.accept(1001);
  server.take();
  std::string got;
  for (size_t at = 0; at < input.size() && !server.at_end(); at += piece) {
    rig.say(server, input.substr(at, piece));
    server.take();
    got += client.take();
  }
  end_all(rig);
  got += client.take();
  fuzz::check_responses(std::move(got), client, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 16'384) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  play(input, input.size());
  play(input, 1 + data[size - 1] % 61);
  return 0;
}
