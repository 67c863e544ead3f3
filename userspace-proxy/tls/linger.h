#pragma once
// Connections whose owner is gone while the last bytes it has written still wait for the medium.
#include <memory>
#include <vector>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/tls/blocks.h"

namespace weft::tls {

// One per worker. Bounded in number and time; what does not fit is cut. Thread: the worker's.
class Lingerers {
 public:
  static constexpr size_t kMost = 1024;

  explicit Lingerers(Blocks& blocks);
  ~Lingerers();
  // Writes `rest` to `inner`, ends it when `then_end`, and lets go of it; gives up after `most`.
  void take(base::Loop& loop, std::unique_ptr<base::Transport> inner, Block rest, bool then_end, base::Nanos most);
  [[nodiscard]] size_t size() const { return held_.size(); }

 private:
  class Linger;
  void done(Linger* linger);

  Blocks& blocks_;
  std::vector<std::unique_ptr<Linger>> held_;
};

}  // namespace weft::tls
