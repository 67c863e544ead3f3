// Any field of a CONNECT request; the first byte says which. What is accepted is bounded, and writing it and reading
// it again gives the same.
#include <cstdint>
#include <string_view>

#include "userspace-proxy/hbone/headers.h"

using namespace weft;
using namespace weft::hbone;

namespace {

void check_authority(std::string_view text) {
  const auto read = parse_authority(text);
  if (!read) {
    CHECK(!read.error().what.empty());
    return;
  }
  CHECK(read->port != 0 && read->host.size() <= kMaxHost);
  const auto again = parse_authority(read->to_string());
  CHECK(again && *again == *read);
}

void check_baggage(std::string_view text) {
  const auto read = parse_baggage(text);
  const auto written = write_baggage(read);
  CHECK(parse_baggage(written) == read);
  CHECK(written.find_first_of("\r\n \";") == std::string::npos);
}

void check_forwarded(std::string_view text) {
  const auto host = forwarded_host(text);
  CHECK(host.size() <= kMaxHost + 6 && host.find(';') == std::string_view::npos);
  const auto written = write_forwarded({base::Address::v4(0x0a000009), 1}, host);
  CHECK(written.find_first_of("\r\n") == std::string::npos);
  CHECK(forwarded_host(written).empty() || forwarded_host(written) == host);
}

void check_traceparent(std::string_view text) {
  const auto read = parse_traceparent(text);
  if (read) CHECK(read->to_string() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0:
      check_authority(text);
      break;
    case 1:
      check_baggage(text);
      break;
    case 2:
      check_forwarded(text);
      break;
    default:
      check_traceparent(text);
  }
  return 0;
}
