#pragma once
// Outcomes of a gRPC call (gRPC over HTTP/2, "Status codes").
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::grpc {

enum class Code : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

[[nodiscard]] std::string_view name_of(Code code);  // "UNAUTHENTICATED"
// Decimal digits of 0..16; everything else is kUnknown, as the specification wants it.
[[nodiscard]] Code parse_code(std::string_view text);
// What a peer that answers without gRPC means by its HTTP status ("HTTP to gRPC status code mapping").
[[nodiscard]] Code code_of_http(int status);
[[nodiscard]] base::ErrorKind kind_of(Code code);

// A call that brought no message: an Error like any other, that keeps the code. Where the connection itself
// failed the code is kUnavailable, kDeadlineExceeded or kInternal and `kind` says more (kUntrusted: the server
// did not prove its name).
struct CallError : base::Error {
  Code code = Code::kUnknown;
  bool from_peer = false;  // the server answered with this code; false: we made it up for a failed connection
};

// What a handler answers instead of a message. The text travels to the caller: say nothing there that the
// caller must not know.
struct Failure {
  Code code = Code::kInternal;
  std::string message;
};
using Answer = std::expected<std::string, Failure>;

// Header fields: names in lower case, order kept.
using Metadata = std::vector<std::pair<std::string, std::string>>;
// The first field of that name; empty if there is none.
[[nodiscard]] std::string_view find(const Metadata& metadata, std::string_view name);

// grpc-message: everything but printable ASCII, and '%', as %XX ("Percent-Encoded"). Reading never fails: what
// is no escape stays as it is.
[[nodiscard]] std::string percent_encode(std::string_view text);
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace weft::grpc
