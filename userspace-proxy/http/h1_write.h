#pragma once
// HTTP/1 heads, chunks and trailers, written into a queue.
#include <span>
#include <string_view>

#include "userspace-proxy/http/memory.h"
#include "userspace-proxy/http/message.h"

namespace weft::http {

struct Extra {
  std::string_view name, value;
};

// How the message leaves: decided by the session that sends it.
struct H1Outgoing {
  Body body = Body::kNone;
  uint64_t content_length = 0;
  bool http10 = false;          // the reader is an HTTP/1.0 client
  bool add_length = false;      // kLength or an empty body whose head carries no content-length yet
  std::string_view connection;  // value of the Connection field; empty: none
  std::string_view upgrade;     // value of the Upgrade field; empty: none
};

// `path` is the target as forwarded. Fields that are dropped or belong to one hop are left out; the others
// keep order and spelling.
void write_request_head(Queue& out, const RequestHead& head, std::string_view target,
                        std::span<const Extra> extras, const H1Outgoing& how);
void write_response_head(Queue& out, const ResponseHead& head, std::span<const Extra> extras,
                         const H1Outgoing& how);

// "1f40\r\n"; returns what was written into `block`.
[[nodiscard]] std::string_view chunk_line(size_t size, char (&block)[20]);
inline constexpr std::string_view kCrlf = "\r\n";
// The last chunk, with trailers when there are any.
void write_last_chunk(Queue& out, const Fields* trailers);

}  // namespace weft::http
