#include "userspace-proxy/http/message.h"

#include <strings.h>

#include <algorithm>
#include <array>

namespace weft::http {
namespace {

struct Name {
  std::string_view text;
  Known known;
};

constexpr Name kNames[] = {
    {"te", Known::kTe},
    {"host", Known::kHost},
    {"date", Known::kDate},
    {"cookie", Known::kCookie},
    {"expect", Known::kExpect},
    {"server", Known::kServer},
    {"trailer", Known::kTrailer},
    {"upgrade", Known::kUpgrade},
    {"connection", Known::kConnection},
    {"keep-alive", Known::kKeepAlive},
    {"user-agent", Known::kUserAgent},
    {"grpc-status", Known::kGrpcStatus},
    {"content-type", Known::kContentType},
    {"x-request-id", Known::kXRequestId},
    {"content-length", Known::kContentLength},
    {"http2-settings", Known::kHttp2Settings},
    {"x-forwarded-for", Known::kXForwardedFor},
    {"proxy-connection", Known::kProxyConnection},
    {"transfer-encoding", Known::kTransferEncoding},
    {"x-forwarded-proto", Known::kXForwardedProto},
    {"x-envoy-original-path", Known::kXEnvoyOriginalPath},
};

constexpr size_t kLongest = 21;
// Where the names of each length begin in kNames (which is sorted by length).
constexpr std::array<uint8_t, kLongest + 2> make_starts() {
  std::array<uint8_t, kLongest + 2> starts{};
  for (size_t length = 0; length < starts.size(); ++length)
    for (const auto& name : kNames)
      if (name.text.size() < length) ++starts[length];
  return starts;
}
constexpr auto kStarts = make_starts();

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

constexpr std::string_view kEnvoyPrefix = "x-envoy-";

}  // namespace

std::string_view name_of(Version version) {
  switch (version) {
    case Version::kHttp10:
      return "HTTP/1.0";
    case Version::kHttp11:
      return "HTTP/1.1";
    case Version::kHttp2:
      return "HTTP/2";
  }
  return "-";
}

bool equal_fold(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

Known classify(std::string_view name) {
  if (name.size() > kLongest || name.empty())
    return equal_fold(name.substr(0, kEnvoyPrefix.size()), kEnvoyPrefix) ? Known::kXEnvoy : Known::kOther;
  const char first = lower(name[0]);
  for (size_t i = kStarts[name.size()]; i < kStarts[name.size() + 1]; ++i)
    if (kNames[i].text[0] == first && equal_fold(kNames[i].text, name)) return kNames[i].known;
  if (first == 'x' && equal_fold(name.substr(0, kEnvoyPrefix.size()), kEnvoyPrefix)) return Known::kXEnvoy;
  return Known::kOther;
}

const Field* find(const Fields& fields, Known known) {
  const auto found = std::ranges::find_if(
      fields, [known](const Field& field) { return field.known == known && !field.dropped; });
  return found == fields.end() ? nullptr : &*found;
}

std::string_view value_of(const Fields& fields, Known known) {
  const Field* field = find(fields, known);
  return field == nullptr ? std::string_view{} : field->value;
}

void RequestHead::clear() {
  auto kept = std::move(fields);
  kept.clear();
  *this = RequestHead{};
  fields = std::move(kept);
}

void ResponseHead::clear() {
  auto kept = std::move(fields);
  kept.clear();
  *this = ResponseHead{};
  fields = std::move(kept);
}

// lint: table
std::string_view reason_of(uint16_t status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

bool is_idempotent(std::string_view method) {
  for (const std::string_view safe : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
    if (method == safe) return true;
  return false;
}

}  // namespace weft::http
