#include "userspace-proxy/http/forwarding.h"

#include <charconv>

namespace weft::http {
namespace {

// UUID version 4.
std::string_view make_request_id(Random& random, Arena& arena) {
  static constexpr char kHex[] = "0123456789abcdef";
  const uint64_t words[2] = {(random.next() & ~0xF000ULL) | 0x4000ULL,
                             (random.next() & ~(0x3ULL << 62)) | (0x2ULL << 62)};
  char* const out = arena.allocate(36);
  char* next = out;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) *next++ = '-';
    *next++ = kHex[(words[nibble / 16] >> (60 - 4 * (nibble % 16))) & 15];
  }
  return {out, 36};
}

// "<what was there>, <peer>"
std::string_view append_forwarded_for(Fields& fields, std::string_view peer, Arena& arena) {
  size_t size = peer.size();
  for (const auto& field : fields)
    if (field.known == Known::kXForwardedFor) size += field.value.size() + 2;
  if (size == peer.size()) return peer;
  char* const out = arena.allocate(size);
  char* next = out;
  const auto put = [&next](std::string_view text) {
    std::memcpy(next, text.data(), text.size());
    next += text.size();
  };
  for (auto& field : fields) {
    if (field.known != Known::kXForwardedFor || field.value.empty()) continue;
    put(field.value);
    put(", ");
  }
  put(peer);
  return {out, static_cast<size_t>(next - out)};
}

void drop(Fields& fields, std::initializer_list<Known> list) {
  for (auto& field : fields)
    for (const Known known : list) field.dropped |= field.known == known;
}

}  // namespace

void prepare_request(RequestHead& head, const Plan& plan, Random& random, Arena& arena, Extras& extras) {
  if (head.te_trailers) extras.add("te", "trailers");
  if (head.version == Version::kHttp10) drop(head.fields, {Known::kExpect});
  if (plan.info->kind != listen::Kind::kGateway) {
    if (find(head.fields, Known::kXRequestId) == nullptr)
      extras.add("x-request-id", make_request_id(random, arena));
    return;
  }
  extras.add("x-forwarded-for", append_forwarded_for(head.fields, plan.peer, arena));
  extras.add("x-forwarded-proto", "http");
  extras.add("x-envoy-external-address", plan.peer);
  extras.add("x-request-id", make_request_id(random, arena));
  drop(head.fields, {Known::kXForwardedFor, Known::kXForwardedProto, Known::kXRequestId, Known::kXEnvoy,
                     Known::kXEnvoyOriginalPath});
}

void prepare_response(ResponseHead& head, const identify::ConnInfo& info, int64_t service_time_ms,
                      Arena& arena, Extras& extras) {
  if (info.kind != listen::Kind::kGateway) return;
  drop(head.fields, {Known::kServer});
  extras.add("server", kServerName);
  char* const out = arena.allocate(20);
  const auto end = std::to_chars(out, out + 20, service_time_ms).ptr;
  extras.add("x-envoy-upstream-service-time", {out, static_cast<size_t>(end - out)});
}

}  // namespace weft::http
