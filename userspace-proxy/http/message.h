#pragma once
// HTTP messages as both codecs see them. Heads are views into memory of whoever parsed them.
#include <cstdint>
#include <string_view>
#include <vector>

namespace weft::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };
[[nodiscard]] std::string_view name_of(Version version);

// Header names that some rule of ours speaks of.
enum class Known : uint8_t {
  kOther,
  kConnection,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kGrpcStatus,
  kHost,
  kHttp2Settings,
  kKeepAlive,
  kProxyConnection,
  kServer,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kXEnvoy,  // any other x-envoy-*
  kXEnvoyOriginalPath,
  kXForwardedFor,
  kXForwardedProto,
  kXRequestId,
};
[[nodiscard]] Known classify(std::string_view name);
[[nodiscard]] bool equal_fold(std::string_view a, std::string_view b);

struct Field {
  std::string_view name, value;
  std::string_view line;  // as it came on HTTP/1, with CRLF; empty when the field has another origin
  Known known = Known::kOther;
  bool dropped = false;  // not forwarded
};
using Fields = std::vector<Field>;

// The first field that is still there; null when there is none.
[[nodiscard]] const Field* find(const Fields& fields, Known known);
[[nodiscard]] std::string_view value_of(const Fields& fields, Known known);
// Calls `visit(token)` for each member of a comma-separated list.
template <typename Visit>
void for_each_token(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    auto token = list.substr(0, list.find(','));
    list.remove_prefix(token.size() == list.size() ? token.size() : token.size() + 1);
    while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
    if (!token.empty()) visit(token);
  }
}

enum class Body : uint8_t {
  kNone,
  kLength,      // content_length bytes
  kChunked,     // ends by its framing: chunks, or END_STREAM
  kUntilClose,  // HTTP/1 responses only
  kTunnel,      // after 101: raw bytes both ways until each side ends
};

struct RequestHead {
  std::string_view method, target, authority;
  std::string_view scheme = "http";
  Version version = Version::kHttp11;
  Fields fields;
  Body body = Body::kNone;
  uint64_t content_length = 0;
  bool keep_alive = true;  // of the source connection, HTTP/1 only
  bool expect_continue = false;
  bool websocket = false;  // an upgrade to websocket is asked for
  bool te_trailers = false;
  bool grpc = false;

  void clear();
};

struct ResponseHead {
  uint16_t status = 0;
  std::string_view reason;  // HTTP/1 only
  Version version = Version::kHttp11;
  Fields fields;
  Body body = Body::kNone;
  uint64_t content_length = 0;
  bool keep_alive = true;  // of the destination connection, HTTP/1 only

  void clear();
};

[[nodiscard]] std::string_view reason_of(uint16_t status);
// May be repeated without harm (RFC 9110 9.2.2).
[[nodiscard]] bool is_idempotent(std::string_view method);

}  // namespace weft::http
