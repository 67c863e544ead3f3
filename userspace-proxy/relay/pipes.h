#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "userspace-proxy/base/fd.h"

namespace weft::relay {

// A kernel pipe through which bytes go from one socket to another without being copied into this process.
struct Pipe {
  base::Fd reader, writer;
};

// The pipes of one worker. A relay has one only while bulk is under way, so a few serve all connections; when
// none is free, bytes are copied. Bounded well below the pages that the kernel grants an unprivileged user.
class Pipes {
 public:
  static constexpr size_t kCapacity = 256 * 1024;
  static constexpr size_t kMost = 64;  // given out and kept together

  [[nodiscard]] std::optional<Pipe> take();
  // An empty pipe is kept for the next one; one that still holds bytes of a broken connection is closed.
  void give_back(Pipe pipe, bool empty);
  [[nodiscard]] size_t given_out() const { return given_out_; }
  [[nodiscard]] uint64_t uses() const { return uses_; }

 private:
  std::vector<Pipe> free_;
  size_t given_out_ = 0;
  uint64_t uses_ = 0;  // times one was given out
};

}  // namespace weft::relay
