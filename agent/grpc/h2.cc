#include "agent/grpc/h2.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace weft::grpc {
namespace {

constexpr size_t kWriteUnit = 64 * 1024;  // frames are gathered up to this before a write

}  // namespace

SessionPtr make_session(const SessionLimits& limits, const nghttp2_session_callbacks* callbacks, void* user) {
  nghttp2_option* raw = nullptr;
  CHECK(nghttp2_option_new(&raw) == 0);
  const std::unique_ptr<nghttp2_option, Freed<nghttp2_option_del>> option(raw);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_settings(raw, 32);
  nghttp2_option_set_max_continuations(raw, 8);
  nghttp2_option_set_max_outbound_ack(raw, 200);
  nghttp2_option_set_max_send_header_block_length(raw, 64 * 1024);
  nghttp2_option_set_max_deflate_dynamic_table_size(raw, 4096);
  nghttp2_option_set_stream_reset_rate_limit(raw, 500, 33);
  nghttp2_session* session = nullptr;
  const int rv = limits.server ? nghttp2_session_server_new2(&session, callbacks, user, raw)
                               : nghttp2_session_client_new2(&session, callbacks, user, raw);
  CHECK(rv == 0);
  const auto streams = static_cast<uint32_t>(limits.server ? limits.streams : 0);
  const nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(limits.stream_window)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.header_list)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},  // a client's word only, so it comes last
  };
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, std::size(entries) - (limits.server ? 1 : 0));
  return SessionPtr(session);
}

base::Status flush(nghttp2_session& session, TlsSocket& socket, base::Instant deadline) {
  std::string gathered;
  while (true) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(&session, &bytes);
    if (size < 0)
      return base::fail(base::ErrorKind::kInvalid,
                        fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(size))));
    gathered.append(view_of(bytes, static_cast<size_t>(size)));
    if (size != 0 && gathered.size() < kWriteUnit) continue;
    if (gathered.empty()) return {};
    TRY(socket.write(gathered, deadline));
    gathered.clear();
    if (size == 0) return {};
  }
}

void HeaderList::add(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  // A token in a compression table could be guessed by whoever shares the connection.
  const uint8_t flags = name == "authorization" ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  fields_.push_back({bytes(name), bytes(value), name.size(), value.size(), flags});
}

}  // namespace weft::grpc
