// Any frames behind a preface: the session ends or goes on, and what reaches destinations is complete HTTP/1
// requests.
#include <cstdint>
#include <string>

#include "tests/fuzz/http1_oracle.h"
#include "tests/support/http_rig.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 32'768) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  test::HttpRig rig;
  auto& client = rig.connect_client();
  rig.say(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  std::map<test::PairEnd*, std::string> pending;
  const size_t piece = 1 + data[size - 1] * 4;
  for (size_t at = 0; at < input.size() && !client.was_reset() && !client.at_end(); at += piece) {
    rig.say(client, input.substr(at, piece));
    client.take();
    while (rig.waiting(1001) > 0) rig.accept(1001);
    for (auto& server : rig.accepted) {
      auto& got = pending[server.get()];
      got += server->take();
      const auto reading = fuzz::read_with_beast<true>(got);
      if (!reading.whole) continue;
      CHECK(reading.used == got.size());
      got.clear();
      if (!server->at_end())
        server->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n");
    }
    rig.turn();
  }
  return 0;
}
