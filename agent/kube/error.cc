#include "agent/kube/error.h"

#include <fmt/format.h>

#include "agent/objects/finding.h"
#include "agent/parse/json.h"

namespace weft::kube {
namespace {

using base::ErrorKind;

ErrorKind kind_of_code(int code) {
  switch (code) {
    case 404:
      return ErrorKind::kNotFound;
    case 401:
    case 403:
      return ErrorKind::kRefused;
    case 409:
    case 410:
      return ErrorKind::kConflict;
    case 408:
    case 504:
      return ErrorKind::kTimeout;
    case 413:
    case 429:
      return ErrorKind::kLimit;
    case 405:
    case 406:
    case 415:
      return ErrorKind::kUnsupported;
    default:
      return code >= 500 ? ErrorKind::kClosed : ErrorKind::kInvalid;
  }
}

// What an answer without a Status may show of itself: printable, short.
std::string first_words(std::string_view body) {
  std::string out;
  for (const char c : body.substr(0, 200)) out += c >= 0x20 && c < 0x7f ? c : ' ';
  return out.empty() ? "no text" : out;
}

}  // namespace

ApiError api_error(std::string_view what, int code, std::string_view body, base::Nanos retry_after) {
  ApiError error;
  error.code = code;
  error.retry_after = retry_after;
  error.side = base::Side::kDestination;
  error.kind = kind_of_code(code);
  const auto status = parse::read_json(body, {.bytes = 1u << 20, .nodes = 20'000, .depth = 20});
  if (status && status->at({"kind"}).as_string() == "Status") {
    error.reason = status->at({"reason"}).as_string();
    error.message = objects::clip(status->at({"message"}).as_string());
  } else {
    error.message = first_words(body);
  }
  error.what = fmt::format("{}: the API server answers {}{}{}: {}", what, code,
                           error.reason.empty() ? "" : " ", error.reason, error.message);
  return error;
}

}  // namespace weft::kube
