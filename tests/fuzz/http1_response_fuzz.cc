// Any bytes as a destination's answer: the client gets complete responses, read by a second parser as we
// wrote them, or is cut so that it notices.
#include <cstdint>
#include <string>

#include "tests/fuzz/http1_responses.h"
#include "tests/support/http_rig.h"

using namespace weft;

namespace {

void play(std::string_view input, size_t piece, bool head) {
  test::HttpRig rig;
  auto& client = rig.connect_client();
  rig.say(client, head ? "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" : "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto& server = rig.accept(1001);
  server.take();
  std::string got;
  for (size_t at = 0; at < input.size() && !server.at_end(); at += piece) {
    rig.say(server, input.substr(at, piece));
    got += client.take();
  }
  if (!server.at_end()) server.shutdown_write();
  rig.turn();
  got += client.take();
  fuzz::check_responses(std::move(got), client, head);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 16'384) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  play(input, input.size(), false);
  play(input, 1 + data[0] % 13, (data[size - 1] & 1) != 0);
  return 0;
}
