#pragma once
#include <string>

#include "userspace-proxy/observe/record.h"

namespace weft::observe {

// Appends one line in Istio's text format (http-semantics.md 7.1), newline included. Values that came from a
// peer cannot break the line: quotes and backslashes are escaped inside quotes, control bytes and (outside
// quotes) spaces are written as \xHH, and a value is cut at kMaxValue bytes.
inline constexpr size_t kMaxValue = 8192;
void append_line(const RequestRecord& record, std::string& out);
void append_line(const ConnRecord& record, std::string& out);

}  // namespace weft::observe
