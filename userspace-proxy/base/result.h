#pragma once
// Errors as values. Would-block and end of stream are results of an operation (see io.h), not errors.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace weft::base {

// Which peer an error is blamed on: it decides the response flag and the metric.
enum class Side : uint8_t { kSelf, kSource, kDestination };

enum class ErrorKind : uint8_t {
  kSystem,       // a system call failed; `sys_errno` says which way
  kInvalid,      // input that does not keep to its format
  kLimit,        // a bound of ours was reached
  kUnsupported,  // known, but not built yet
  kNotFound,
  kConflict,  // the state of the world does not admit this (already there, other owner)
  kRefused,   // policy said no
  kClosed,    // the peer or the owner went away
  kTimeout,
  kUntrusted,  // the peer did not prove the identity that was asked of it
};

struct Error {
  ErrorKind kind = ErrorKind::kSystem;
  Side side = Side::kSelf;
  int sys_errno = 0;
  std::string what;  // a sentence a user can act on
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// "connect 10.0.0.1:80: Connection refused"
[[nodiscard]] std::string describe(const Error& error);
[[nodiscard]] std::string_view name_of(ErrorKind kind);

[[nodiscard]] std::unexpected<Error> fail(ErrorKind kind, std::string what, Side side = Side::kSelf);
// Takes errno as it stands now.
[[nodiscard]] std::unexpected<Error> fail_errno(std::string what, Side side = Side::kSelf);
[[nodiscard]] std::unexpected<Error> fail_errno(int sys_errno, std::string what, Side side = Side::kSelf);

}  // namespace weft::base

#define WEFT_CONCAT_(a, b) a##b
#define WEFT_CONCAT(a, b) WEFT_CONCAT_(a, b)

// TRY(status_expr): returns the error of a Status to the caller.
#define TRY(expr)                                                                                \
  do {                                                                                           \
    if (auto weft_try_ = (expr); !weft_try_) return std::unexpected(std::move(weft_try_).error()); \
  } while (false)

// TRY_ASSIGN(auto x, expr): x = value of expr, or returns its error.
#define TRY_ASSIGN(declaration, expr)                                                     \
  auto WEFT_CONCAT(weft_try_, __LINE__) = (expr);                                         \
  if (!WEFT_CONCAT(weft_try_, __LINE__))                                                  \
    return std::unexpected(std::move(WEFT_CONCAT(weft_try_, __LINE__)).error());          \
  declaration = std::move(*WEFT_CONCAT(weft_try_, __LINE__))

// CHECK(condition): a broken invariant ends the process; it is never used on outside input.
#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) ::weft::base::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

namespace weft::base {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}
