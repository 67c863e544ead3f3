#pragma once
// What an API server says when it says no.
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

// An Error that keeps the server's Status (meta/v1). It turns into a plain base::Error wherever one is
// returned, so TRY works in functions that return base::Result.
struct ApiError : base::Error {
  ApiError() = default;
  ApiError(base::Error error)
      : base::Error(std::move(error)) {}  // NOLINT: implicit, for TRY the other way round

  int code = 0;        // of HTTP; 0: no answer came, or none that can be read
  std::string reason;  // "NotFound", "AlreadyExists", "Conflict", "Expired", "Forbidden" ...; empty: not said
  std::string message;  // the server's words, clipped
  base::Nanos retry_after{0};

  [[nodiscard]] bool not_found() const { return code == 404; }
  [[nodiscard]] bool conflict() const { return code == 409 && reason != "AlreadyExists"; }
  [[nodiscard]] bool already_exists() const { return code == 409 && reason == "AlreadyExists"; }
  // The resource version or the continue token is too old.
  [[nodiscard]] bool gone() const { return code == 410; }
  [[nodiscard]] bool forbidden() const { return code == 403; }
};

template <typename T>
using ApiResult = std::expected<T, ApiError>;

// From the answer to `what` ("GET /api/v1/pods"): status code and body, which should be a Status and may be
// anything.
[[nodiscard]] ApiError api_error(std::string_view what, int code, std::string_view body,
                                 base::Nanos retry_after = {});

}  // namespace weft::kube
