#include "userspace-proxy/relay/pipes.h"

#include <fcntl.h>

namespace weft::relay {

std::optional<Pipe> Pipes::take() {
  if (!free_.empty()) {
    Pipe pipe = std::move(free_.back());
    free_.pop_back();
    ++given_out_;
    ++uses_;
    return pipe;
  }
  int ends[2];
  if (given_out_ >= kMost || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  ++given_out_;
  ++uses_;
  // May be refused; a smaller pipe works too.
  fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kCapacity));
  return Pipe{base::Fd(ends[0]), base::Fd(ends[1])};
}

void Pipes::give_back(Pipe pipe, bool empty) {
  --given_out_;
  if (empty) free_.push_back(std::move(pipe));
}

}  // namespace weft::relay
