#include "userspace-proxy/base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace weft::base {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kSystem: return "system";
    case ErrorKind::kInvalid: return "invalid";
    case ErrorKind::kLimit: return "limit";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kNotFound: return "not found";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kRefused: return "refused";
    case ErrorKind::kClosed: return "closed";
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kUntrusted: return "untrusted";
  }
  return "unknown";
}

std::string describe(const Error& error) {
  if (error.sys_errno == 0) return error.what;
  return error.what + ": " + std::generic_category().message(error.sys_errno);
}

std::unexpected<Error> fail(ErrorKind kind, std::string what, Side side) {
  return std::unexpected(Error{kind, side, 0, std::move(what)});
}

std::unexpected<Error> fail_errno(int sys_errno, std::string what, Side side) {
  return std::unexpected(Error{ErrorKind::kSystem, side, sys_errno, std::move(what)});
}

std::unexpected<Error> fail_errno(std::string what, Side side) {
  return fail_errno(errno, std::move(what), side);
}

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace weft::base
