// What anybody who reaches the metrics port may send: taken apart or refused, never beyond what came in.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/observe/status_server.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view head(reinterpret_cast<const char*>(data), size);
  weft::observe::StatusRequest request;
  if (!weft::observe::parse_request(head, &request)) return 0;
  CHECK(request.path.starts_with('/'));
  CHECK(request.path.find('?') == std::string::npos);
  CHECK(request.method.find(' ') == std::string::npos);
  CHECK(request.method.size() + request.path.size() + request.query.size() < size);
  return 0;
}
