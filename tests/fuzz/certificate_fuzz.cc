// Any bytes as a PEM bundle, a PEM chain and a DER certificate: refused with a reason, or read the same way twice.
#include <cstdint>
#include <string_view>

#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/key_ring.h"
#include "userspace-proxy/tls/trust_bundle.h"

using namespace weft;

namespace {

void examine(X509* certificate) {
  const auto id = tls::identity_of(certificate);
  if (id) CHECK(model::SpiffeId::parse(id->to_string()) == *id);
  if (!id) CHECK(!id.error().what.empty());
  (void)tls::allows(certificate, tls::Usage::kClient);
  (void)tls::not_after_of(certificate);
  (void)tls::describe_verify_error(X509_V_ERR_CERT_HAS_EXPIRED, certificate);
  (void)tls::serial_of(certificate);
}

void bundle(std::string_view input) {
  const auto parsed = tls::TrustBundle::parse(input, 3);
  if (!parsed) {
    CHECK(!parsed.error().what.empty());
    return;
  }
  CHECK(!(*parsed)->roots().empty() && (*parsed)->roots().size() <= tls::TrustBundle::kMaxRoots);
  CHECK((*parsed)->covers(**parsed));
  for (const auto& root : (*parsed)->roots()) examine(root.get());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 * 1024) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  bundle(input);
  if (const auto chain = tls::parse_certificates(input, 8))
    for (const auto& certificate : *chain) examine(certificate.get());
  if (const auto certificate = tls::certificate_of(input)) {
    examine(certificate.get());
    CHECK(!tls::der_of(certificate.get()).empty());
  }
  static tls::KeyRing ring;
  static const auto id = *model::SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/a");
  if (ring.pending() == 0) CHECK(ring.request(id, 1).has_value());
  const auto taken = ring.accept(id, 1, input, base::WallTime(std::chrono::seconds(1'700'000'000)));
  CHECK(!taken);  // nobody has signed that key
  return 0;
}
