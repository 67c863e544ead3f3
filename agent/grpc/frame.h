#pragma once
// The 5-byte prefix of gRPC messages: compressed flag, length, message ("Length-Prefixed-Message").
#include <cstddef>
#include <string>
#include <string_view>

#include "agent/grpc/status.h"

namespace weft::grpc {

inline constexpr size_t kFramePrefix = 5;

[[nodiscard]] std::string frame(std::string_view message);

// Reads the one message of a unary call from pieces of any size. Holds no more than the announced length, and
// that is bounded before a byte of it is kept.
class FrameReader {
 public:
  explicit FrameReader(size_t max_message) : max_message_(max_message) {}

  // Refused, for good: a compressed message (UNIMPLEMENTED), one above the bound (RESOURCE_EXHAUSTED), bytes
  // after the message (INTERNAL).
  [[nodiscard]] std::expected<void, Failure> append(std::string_view bytes);
  // The body is over. INTERNAL when the message is not whole. Leaves the reader empty.
  [[nodiscard]] Answer finish();

 private:
  [[nodiscard]] std::expected<void, Failure> read_prefix();

  size_t max_message_;
  std::string prefix_;   // up to kFramePrefix bytes
  std::string message_;  // up to length_ bytes
  size_t length_ = 0;
};

}  // namespace weft::grpc
