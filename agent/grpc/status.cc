#include "agent/grpc/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace weft::grpc {
namespace {

constexpr std::array<std::string_view, 17> kNames = {
    "OK",           "CANCELLED",         "UNKNOWN",          "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND",    "ALREADY_EXISTS",    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",      "OUT_OF_RANGE",      "UNIMPLEMENTED",    "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS",    "UNAUTHENTICATED"};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string_view name_of(Code code) {
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

Code parse_code(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value >= kNames.size())
    return Code::kUnknown;
  return static_cast<Code>(value);
}

Code code_of_http(int status) {
  switch (status) {
    case 400: return Code::kInternal;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return Code::kUnavailable;
    default: return Code::kUnknown;
  }
}

base::ErrorKind kind_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange: return base::ErrorKind::kInvalid;
    case Code::kDeadlineExceeded: return base::ErrorKind::kTimeout;
    case Code::kNotFound: return base::ErrorKind::kNotFound;
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kAborted: return base::ErrorKind::kConflict;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated: return base::ErrorKind::kRefused;
    case Code::kResourceExhausted: return base::ErrorKind::kLimit;
    case Code::kUnimplemented: return base::ErrorKind::kUnsupported;
    case Code::kCancelled:
    case Code::kUnavailable: return base::ErrorKind::kClosed;
    default: return base::ErrorKind::kSystem;
  }
}

std::string_view find(const Metadata& metadata, std::string_view name) {
  const auto found = std::ranges::find(metadata, name, [](const auto& field) { return std::string_view(field.first); });
  return found == metadata.end() ? std::string_view() : std::string_view(found->second);
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f && c != '%')
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    if (!escape) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return out;
}

}  // namespace weft::grpc
