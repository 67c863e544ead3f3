#pragma once
#include <functional>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/result.h"

namespace weft::agent {

// SIGTERM and SIGINT as an event of the loop. Made in main before any thread starts: it blocks both for all
// threads.
class Signals final : private base::IoHandler {
 public:
  static base::Result<std::unique_ptr<Signals>> create(base::Loop& loop, std::function<void()> on_stop);
  ~Signals() override;

 private:
  Signals(base::Loop& loop, base::Fd fd, std::function<void()> on_stop);
  void on_io(uint32_t events) override;

  base::Loop& loop_;
  base::Fd fd_;
  std::function<void()> on_stop_;
};

}  // namespace weft::agent
