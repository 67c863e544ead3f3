#pragma once
// What both ends share of nghttp2: a session with our limits (reference dependencies 5.5), bytes in, bytes out.
#include <nghttp2/nghttp2.h>

#include <memory>
#include <string_view>
#include <vector>

#include "agent/grpc/status.h"
#include "agent/grpc/tls.h"

namespace weft::grpc {

using SessionPtr = std::unique_ptr<nghttp2_session, Freed<nghttp2_session_del>>;

struct SessionLimits {
  bool server = false;
  size_t streams = 1;       // that the peer may have open
  size_t header_list = 0;   // bytes, told to the peer
  size_t stream_window = 0;
};
// `callbacks` are copied, `user` outlives the session. The first SETTINGS are queued.
[[nodiscard]] SessionPtr make_session(const SessionLimits& limits, const nghttp2_session_callbacks* callbacks,
                                      void* user);
// Writes what nghttp2 has to say.
[[nodiscard]] base::Status flush(nghttp2_session& session, TlsSocket& socket, base::Instant deadline);

// A header list for a submit call; views into what the caller owns.
class HeaderList {
 public:
  void add(std::string_view name, std::string_view value);
  [[nodiscard]] const nghttp2_nv* data() const { return fields_.data(); }
  [[nodiscard]] size_t size() const { return fields_.size(); }

 private:
  std::vector<nghttp2_nv> fields_;
};

[[nodiscard]] inline std::string_view view_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace weft::grpc
