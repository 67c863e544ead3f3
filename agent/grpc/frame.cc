#include "agent/grpc/frame.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::grpc {
namespace {

std::unexpected<Failure> refuse(Code code, std::string why) {
  return std::unexpected(Failure{code, std::move(why)});
}

size_t byte_at(std::string_view bytes, size_t index) {
  return static_cast<unsigned char>(bytes[index]);
}

}  // namespace

std::string frame(std::string_view message) {
  CHECK(message.size() <= UINT32_MAX);
  std::string out(1, '\0');
  out.reserve(kFramePrefix + message.size());
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift & 0xff);
  return out.append(message);
}

std::expected<void, Failure> FrameReader::read_prefix() {
  if (prefix_[0] != 0) return refuse(Code::kUnimplemented, "compressed messages are not taken");
  length_ = byte_at(prefix_, 1) << 24 | byte_at(prefix_, 2) << 16 | byte_at(prefix_, 3) << 8 | byte_at(prefix_, 4);
  if (length_ <= max_message_) return {};
  return refuse(Code::kResourceExhausted, fmt::format("message of {} bytes, the limit is {}", length_, max_message_));
}

std::expected<void, Failure> FrameReader::append(std::string_view bytes) {
  if (prefix_.size() < kFramePrefix) {
    const size_t take = std::min(bytes.size(), kFramePrefix - prefix_.size());
    prefix_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (prefix_.size() < kFramePrefix) return {};
    TRY(read_prefix());
  }
  if (bytes.size() > length_ - message_.size()) return refuse(Code::kInternal, "more than one message in a unary call");
  message_.append(bytes);
  return {};
}

Answer FrameReader::finish() {
  if (prefix_.size() < kFramePrefix || message_.size() < length_)
    return refuse(Code::kInternal, "the body ends before its message does");
  prefix_.clear();
  length_ = 0;
  return std::exchange(message_, {});
}

}  // namespace weft::grpc
