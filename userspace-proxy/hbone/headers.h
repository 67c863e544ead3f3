#pragma once
// The fields of an HBONE CONNECT request, text <-> value (hbone.md 6). Pure and bounded: no function here looks at
// more than kMaxText bytes or keeps a view beyond the text it was given. Apart from the authority all of it is
// what an authenticated peer claims: never a ground for a decision of policy.
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/result.h"

namespace weft::hbone {

inline constexpr size_t kMaxText = 8 * 1024;   // bytes of one field that are read; more is refused or ignored
inline constexpr size_t kMaxHost = 253;        // RFC 1035 2.3.4
inline constexpr size_t kMaxBaggage = 64;      // members
inline constexpr size_t kMaxBaggageValue = 256;

// ":authority" of a CONNECT: where in the destination the connection goes.
struct Authority {
  base::Address address;  // where `host` is empty
  std::string host;       // a service's name in lower case; to be resolved by whoever knows services
  uint16_t port = 0;      // never 0
  bool operator==(const Authority&) const = default;
  [[nodiscard]] bool is_name() const { return !host.empty(); }
  [[nodiscard]] std::string to_string() const;
};
// "10.1.2.3:80", "[fd00::1]:80", "web.shop.svc.cluster.local:80". kInvalid with a reason for all else.
[[nodiscard]] base::Result<Authority> parse_authority(std::string_view text);

// Who the peer says it is; telemetry only. Views into the text that was parsed. Empty: not said.
struct Baggage {
  std::string_view cluster, ns, workload_kind, workload, service, revision, region, zone;
  bool operator==(const Baggage&) const = default;
};
// Several header lines are joined with ',' first. Unknown keys, values that are too long or not printable are
// passed over; the first of two equal keys counts.
[[nodiscard]] Baggage parse_baggage(std::string_view text);
// Members in the order of hbone.md 6, empty ones left out, as are values that would need escaping.
// workload_kind is one of deployment, cronjob, pod, job; anything else leaves the workload out.
[[nodiscard]] std::string write_baggage(const Baggage& baggage);

// for="10.0.0.9:40000";host=web.shop.svc.cluster.local ; without host when that is empty.
[[nodiscard]] std::string write_forwarded(const base::SocketAddress& client, std::string_view host);
// The service the peer addressed; empty when it does not say.
[[nodiscard]] std::string_view forwarded_host(std::string_view text);

// W3C Trace Context 3.2, version 00.
struct Traceparent {
  std::array<uint8_t, 16> trace{};
  std::array<uint8_t, 8> parent{};
  uint8_t flags = 0;
  bool operator==(const Traceparent&) const = default;
  [[nodiscard]] std::string to_string() const;  // 55 characters
};
// Nothing for a malformed one: the caller makes a fresh one then.
[[nodiscard]] std::optional<Traceparent> parse_traceparent(std::string_view text);
// Random ids, flags 00: for one connection of an application, to find it in both ends' logs.
[[nodiscard]] Traceparent fresh_traceparent(std::mt19937_64& random);

// Ports that belong to the proxy on every pod's address: nobody is carried to them (hbone.md 7 and 8).
[[nodiscard]] bool is_proxy_port(uint16_t port);

}  // namespace weft::hbone
