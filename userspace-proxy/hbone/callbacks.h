#pragma once
// Inside of hbone/: what nghttp2 calls.
#include <nghttp2/nghttp2.h>

namespace weft::hbone {

// One list for all sessions; the user pointer of a session is the Session.
[[nodiscard]] nghttp2_session_callbacks* session_callbacks();
// Asks the stream that nghttp2 knows by the id; one that was let go has ended.
[[nodiscard]] nghttp2_data_provider data_provider();

}  // namespace weft::hbone
