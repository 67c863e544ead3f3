// Any bundle of certificates: what is taken is at least one and no more than the bound, and is written and read
// again as the same.
#include <cstdint>
#include <string>

#include "agent/grpc/openssl.h"

using namespace weft::grpc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto list = read_certificates({reinterpret_cast<const char*>(data), size});
  if (!list) return 0;
  CHECK(!list->empty() && list->size() <= kMaxCertificates);
  std::string again;
  for (const auto& certificate : *list) again += write_certificate(*certificate);
  if (again.size() > kMaxPem) return 0;
  const auto twice = read_certificates(again);
  CHECK(twice && twice->size() == list->size());
  return 0;
}
