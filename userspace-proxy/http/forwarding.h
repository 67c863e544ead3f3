#pragma once
// Header rules of this hop (http-semantics 10): what a request or response gains and loses on its way
// through.
#include <array>
#include <span>

#include "userspace-proxy/http/core.h"
#include "userspace-proxy/http/h1_write.h"
#include "userspace-proxy/http/memory.h"
#include "userspace-proxy/http/message.h"

namespace weft::http {

// Fields that are added. A handful at most, so they need no allocation.
class Extras {
 public:
  void add(std::string_view name, std::string_view value) {
    if (count_ < list_.size()) list_[count_++] = {name, value};
  }
  void clear() { count_ = 0; }
  [[nodiscard]] std::span<const Extra> view() const { return {list_.data(), count_}; }

 private:
  std::array<Extra, 8> list_;
  size_t count_ = 0;
};

// Values end up in `arena` or lie in `plan`.
// Gateway: x-request-id is made anew; the peer is appended to x-forwarded-for and named in
// x-envoy-external-address; x-forwarded-proto says how the peer spoke to us; x-envoy-* of the client are
// dropped, since nobody outside is trusted. In the mesh: x-request-id when there is none, nothing else.
void prepare_request(RequestHead& head, const Plan& plan, Random& random, Arena& arena, Extras& extras);

// Gateway: `server` is ours, x-envoy-upstream-service-time says how long the destination took. In the mesh:
// nothing.
void prepare_response(ResponseHead& head, const identify::ConnInfo& info, int64_t service_time_ms,
                      Arena& arena, Extras& extras);

inline constexpr std::string_view kServerName = "weft";

}  // namespace weft::http
