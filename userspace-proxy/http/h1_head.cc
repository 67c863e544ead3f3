#include "userspace-proxy/http/h1_head.h"

#include <algorithm>
#include <cstring>

namespace weft::http {
namespace {

constexpr H1Error kBadFraming{400, "http1.line_end"};
constexpr H1Error kFolded{400, "http1.folded_header"};
constexpr H1Error kEmptyName{400, "http1.empty_header_name"};
constexpr H1Error kTooLarge{431, "headers_too_large"};
constexpr H1Error kTooMany{431, "too_many_headers"};

// The line [start, end) with its CRLF.
H1Error check_line(std::string_view line, bool is_field) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return kBadFraming;
  if (std::memchr(line.data(), '\r', line.size() - 2) != nullptr) return kBadFraming;
  if (!is_field || line.size() == 2) return {};
  if (line[0] == ' ' || line[0] == '\t') return kFolded;
  if (line[0] == ':') return kEmptyName;
  return {};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

constexpr std::array<bool, 256> make_authority_bytes() {
  std::array<bool, 256> ok{};
  for (int c = '0'; c <= '9'; ++c) ok[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) ok[c] = ok[c - 32] = true;
  for (const char c :
       {'-', '.', '_', '~', '%', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=', ':', '[', ']'})
    ok[static_cast<uint8_t>(c)] = true;
  return ok;
}
constexpr auto kAuthorityBytes = make_authority_bytes();

// What the Connection field says about this hop, and about other fields.
struct ConnectionTokens {
  bool close = false, keep_alive = false, upgrade = false;
};

ConnectionTokens read_connection(Fields& fields) {
  ConnectionTokens tokens;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].known != Known::kConnection) continue;
    for_each_token(fields[i].value, [&](std::string_view token) {
      if (equal_fold(token, "close")) tokens.close = true;
      if (equal_fold(token, "keep-alive")) tokens.keep_alive = true;
      if (equal_fold(token, "upgrade")) tokens.upgrade = true;
      // Fields that rules of ours speak of are not the sender's to remove.
      for (auto& field : fields)
        if (field.known == Known::kOther && equal_fold(field.name, token)) field.dropped = true;
    });
  }
  return tokens;
}

bool has_token(const Fields& fields, Known known, std::string_view wanted) {
  bool found = false;
  for (const auto& field : fields)
    if (field.known == known)
      for_each_token(field.value, [&](std::string_view token) { found |= equal_fold(token, wanted); });
  return found;
}

H1Error read_version(std::string_view text, Version& version) {
  if (text == "HTTP/1.1")
    version = Version::kHttp11;
  else if (text == "HTTP/1.0")
    version = Version::kHttp10;
  else
    return {505, "http1.version"};
  return {};
}

// "GET http://host/path HTTP/1.1": the authority of the target counts, the Host field does not (RFC
// 9112 3.2.2).
H1Error read_absolute(RequestHead& head) {
  std::string_view rest = head.target;
  const size_t colon = rest.find("://");
  const auto scheme = rest.substr(0, colon);
  if (!equal_fold(scheme, "http") && !equal_fold(scheme, "https")) return {400, "http1.target"};
  head.scheme = equal_fold(scheme, "https") ? "https" : "http";
  rest.remove_prefix(colon + 3);
  const size_t end = rest.find_first_of("/?#");
  head.authority = rest.substr(0, end);
  head.target = end == std::string_view::npos ? "/" : rest.substr(end);
  if (head.target[0] != '/') return {400, "http1.target"};
  for (auto& field : head.fields)
    if (field.known == Known::kHost) field.dropped = true;
  return {};
}

H1Error read_target(RequestHead& head) {
  if (head.method == "CONNECT") {  // refused later with 403; the target is an authority
    head.authority = head.target;
    return {};
  }
  if (head.target == "*") return head.method == "OPTIONS" ? H1Error{} : H1Error{400, "http1.target"};
  if (head.target[0] == '/' || head.target[0] == '\\') return {};
  if (head.target.find("://") != std::string_view::npos) return read_absolute(head);
  return {400, "http1.target"};
}

H1Error read_host(RequestHead& head) {
  const auto is_host = [](const Field& field) { return field.known == Known::kHost; };
  const auto count = std::ranges::count_if(head.fields, is_host);
  if (count > 1) return {400, "http1.host_repeated"};
  if (count == 0) return head.version == Version::kHttp10 ? H1Error{} : H1Error{400, "http1.host_missing"};
  head.authority = std::ranges::find_if(head.fields, is_host)->value;
  if (head.authority.empty() && head.version == Version::kHttp10) return {};
  return valid_authority(head.authority) ? H1Error{} : H1Error{400, "http1.host_invalid"};
}

H1Error read_request_framing(const Framing& framing, RequestHead& head) {
  int codings = 0;
  for (const auto& field : head.fields) {
    if (field.known != Known::kTransferEncoding) continue;
    if (++codings > 1) return {400, "http1.transfer_encoding_repeated"};
    if (head.version == Version::kHttp10) return {400, "http1.transfer_encoding_in_1.0"};
    // A coding that we would have to undo; the field is for one hop, so it cannot be passed on.
    if (!equal_fold(field.value, "chunked")) return {501, "http1.transfer_coding"};
  }
  if (framing.chunked) {
    head.body = Body::kChunked;
  } else if (framing.has_length && framing.length > 0) {
    head.body = Body::kLength;
    head.content_length = framing.length;
  }
  return {};
}

}  // namespace

bool valid_authority(std::string_view authority) {
  return !authority.empty() &&
         std::ranges::all_of(authority, [](char c) { return kAuthorityBytes[static_cast<uint8_t>(c)]; });
}

HeadScan scan_head(std::string_view input, size_t& checked, bool has_first_line, size_t max_bytes,
                   size_t max_fields, HeadLines& lines) {
  const bool recording = checked == 0;
  lines.count = 0;
  size_t start = checked;
  for (;;) {
    const void* found =
        start < input.size() ? std::memchr(input.data() + start, '\n', input.size() - start) : nullptr;
    if (found == nullptr) break;
    const size_t end = static_cast<const char*>(found) - input.data() + 1;
    const auto line = input.substr(start, end - start);
    if (const auto error = check_line(line, !has_first_line || start != 0))
      return {HeadScan::Kind::kError, 0, error};
    if (end > max_bytes) return {HeadScan::Kind::kError, 0, kTooLarge};
    if (recording) {
      if (lines.count == std::min(HeadLines::kMax, max_fields + 2))
        return {HeadScan::Kind::kError, 0, kTooMany};
      lines.ends[lines.count++] = static_cast<uint32_t>(end);
    }
    start = end;
    if (line.size() != 2) continue;
    if (recording) return {HeadScan::Kind::kComplete, end, {}};
    // Came in pieces: now that all is here, one pass records the lines.
    checked = 0;
    return scan_head(input, checked, has_first_line, max_bytes, max_fields, lines);
  }
  checked = start;
  // A bare CR in the unfinished line is refused at once, not when the line ends.
  const auto rest = input.substr(start);
  const size_t carriage = rest.find('\r');
  if (carriage != std::string_view::npos && carriage + 1 < rest.size())
    return {HeadScan::Kind::kError, 0, kBadFraming};
  if (input.size() > max_bytes) return {HeadScan::Kind::kError, 0, kTooLarge};
  return {};
}

void split_fields(std::string_view bytes, const HeadLines& lines, size_t from, Fields& fields) {
  for (size_t i = from; i + 1 < lines.count; ++i) {
    const size_t start = i == 0 ? 0 : lines.ends[i - 1];
    Field field;
    field.line = bytes.substr(start, lines.ends[i] - start);
    const size_t colon = field.line.find(':');
    field.name = field.line.substr(0, colon);
    field.value = trim(field.line.substr(colon + 1, field.line.size() - colon - 3));
    field.known = classify(field.name);
    fields.push_back(field);
  }
}

H1Error read_request(std::string_view bytes, const HeadLines& lines, const Framing& framing,
                     RequestHead& head) {
  const auto line = bytes.substr(0, lines.ends[0] - 2);
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first + 1 >= last) return {400, "http1.request_line"};
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  if (const auto error = read_version(line.substr(last + 1), head.version)) return error;
  split_fields(bytes, lines, 1, head.fields);
  if (const auto error = read_host(head)) return error;
  if (const auto error = read_target(head)) return error;
  if (const auto error = read_request_framing(framing, head)) return error;
  if (!head.authority.empty() && !valid_authority(head.authority)) return {400, "http1.host_invalid"};

  const auto tokens = read_connection(head.fields);
  head.keep_alive = head.version == Version::kHttp11 ? !tokens.close : tokens.keep_alive && !tokens.close;
  head.websocket = tokens.upgrade && head.version == Version::kHttp11 && head.method == "GET" &&
                   head.body == Body::kNone && has_token(head.fields, Known::kUpgrade, "websocket");
  head.te_trailers = has_token(head.fields, Known::kTe, "trailers");
  head.expect_continue =
      head.version == Version::kHttp11 && has_token(head.fields, Known::kExpect, "100-continue");
  head.grpc = value_of(head.fields, Known::kContentType).starts_with("application/grpc");
  return {};
}

H1Error read_response(std::string_view bytes, const HeadLines& lines, const Framing& framing,
                      std::string_view method, bool upgrade_asked, ResponseHead& head) {
  // "HTTP/1.1 200 OK"; the reason may be empty, even its space may be missing.
  const auto line = bytes.substr(0, lines.ends[0] - 2);
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') return {502, "http1.status_line"};
  if (const auto error = read_version(line.substr(0, 8), head.version)) return {502, error.details};
  for (const char digit : line.substr(9, 3)) {
    if (digit < '0' || digit > '9') return {502, "http1.status_line"};
    head.status = static_cast<uint16_t>(head.status * 10 + (digit - '0'));
  }
  if (head.status < 100 || (line.size() > 12 && line[12] != ' ')) return {502, "http1.status_line"};
  head.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  // llhttp takes any byte here; others on the way to the client do not.
  if (std::ranges::any_of(head.reason, [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }))
    return {502, "http1.status_line"};
  split_fields(bytes, lines, 1, head.fields);
  const auto tokens = read_connection(head.fields);
  head.keep_alive = head.version == Version::kHttp11 ? !tokens.close : tokens.keep_alive && !tokens.close;
  if (head.status == 101 && !upgrade_asked) return {502, "http1.unasked_upgrade"};

  bool identity = false;
  int codings = 0;
  for (const auto& field : head.fields) {
    if (field.known != Known::kTransferEncoding) continue;
    if (++codings > 1 || head.version == Version::kHttp10) return {502, "http1.transfer_coding"};
    if (equal_fold(field.value, "chunked")) continue;
    if (!equal_fold(field.value, "identity")) return {502, "http1.transfer_coding"};
    identity = true;
  }
  head.content_length = framing.has_length ? framing.length : 0;
  if (head.status == 101) {
    head.body = Body::kTunnel;
  } else if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) {
    head.body = Body::kNone;
  } else if (framing.chunked && !identity) {
    head.body = Body::kChunked;
  } else if (framing.has_length && !identity) {
    head.body = framing.length == 0 ? Body::kNone : Body::kLength;
  } else {
    head.body = Body::kUntilClose;
    head.keep_alive = false;
  }
  return {};
}

}  // namespace weft::http
