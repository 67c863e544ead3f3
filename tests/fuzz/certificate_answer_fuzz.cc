// What a CA sends, and what a bundle file holds: whatever is taken is nothing but certificates, and reading
// it again yields the same.
#include <cstdint>
#include <string>

#include "agent/certs/answer.h"
#include "agent/certs/grpc_ca_client.h"
#include "agent/certs/pem.h"

using namespace weft;
using namespace weft::certs;

namespace {

void read_bundle(std::string_view text) {
  const auto roots = Roots::parse(text);
  if (!roots) return;
  CHECK((*roots)->count() > 0 && (*roots)->count() <= Roots::kMost);
  CHECK((*roots)->pem().find("PRIVATE KEY") == std::string::npos);
  const auto again = Roots::parse((*roots)->pem());
  CHECK(again && (*again)->pem() == (*roots)->pem() && (*again)->left_out() == 0);
}

// The bytes as a CertificateResponse, and as one chain for the request that the corpus was made with.
void read_answer(std::string_view message) {
  const auto answer = decode_answer(message);
  if (!answer) return;
  for (const auto& element : answer->elements) read_bundle(element);
  const model::SpiffeId identity{"cluster.local", "dev", "web"};
  const base::WallTime now{std::chrono::hours(480'000)};
  const auto checked = check_answer(*answer, identity, "", now, nullptr);
  // Nothing fits a request that is none.
  CHECK(!checked && !checked.error().what.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      read_bundle(bytes);
      break;
    case 1:
      read_answer(bytes);
      break;
    default:
      if (read_request(bytes)) CHECK(request_to_pem(bytes).has_value());
      break;
  }
  return 0;
}
