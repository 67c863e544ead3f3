// Any bytes as a client of the proxy: however they are cut they mean the same, and what reaches the
// destination is a row of complete requests, which a second parser reads exactly as we wrote them.
#include <cstdint>
#include <string>

#include "tests/fuzz/http1_oracle.h"
#include "tests/support/http_rig.h"

using namespace weft;

namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// Request ids are random; everything else of a run is not.
std::string without_ids(std::string text) {
  constexpr std::string_view kName = "x-request-id: ";
  for (size_t at = text.find(kName); at != std::string::npos; at = text.find(kName, at + 1))
    if (text.size() >= at + kName.size() + 38 && text.substr(at + kName.size() + 36, 2) == "\r\n")
      text.replace(at + kName.size(), 36, "*");
  return text;
}

struct Outcome {
  std::string forwarded;  // all that destinations saw, connection after connection
  bool operator==(const Outcome&) const = default;
};

Outcome play(std::string_view input, size_t piece) {
  test::HttpRig rig;
  auto& client = rig.connect_client();
  Outcome out;
  std::map<test::PairEnd*, std::string> pending;
  const auto serve = [&] {
    for (;;) {
      rig.turn();
      client.take();
      bool any = false;
      while (rig.waiting(1001) > 0) rig.accept(1001);
      for (auto& server : rig.accepted) {
        auto& got = pending[server.get()];
        got += server->take();
        const auto reading = fuzz::read_with_beast<true>(got);
        if (!reading.whole) continue;
        // Where chunks are cut depends on how the bytes came; what they hold does not.
        out.forwarded += got.substr(0, got.find("\r\n\r\n") + 4) + reading.body;
        CHECK(reading.used == got.size());  // one request at a time, and its end where we think it is
        got.clear();
        if (!server->at_end()) server->send(kOk);
        any = true;
      }
      if (!any) return;
    }
  };
  for (size_t at = 0; at < input.size() && !client.was_reset() && !client.at_end(); at += piece) {
    client.send(input.substr(at, piece));
    serve();
  }
  out.forwarded = without_ids(std::move(out.forwarded));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 16'384) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t piece = 1 + data[0] % 13;
  const auto whole = play(input, input.size());
  if (size < 2'048) CHECK(whole == play(input, piece));
  return 0;
}
