#pragma once
#include <atomic>
#include <condition_variable>
#include <string>
#include <thread>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/observe/access_log.h"

namespace weft::observe {

// The thread that writes access-log chunks of all workers to one descriptor, so that a slow disk or pipe
// never stops a worker. Bounded: beyond kMaxPending bytes a chunk is refused. Owned by main, outlives the
// workers.
class LogWriter final : public LogSink {
 public:
  static constexpr size_t kMaxPending = 4u << 20;

  explicit LogWriter(base::Fd out);
  // Writes what is pending, as far as the descriptor takes it, and ends the thread.
  ~LogWriter() override;

  bool take(std::string chunk) override;
  // Chunks lost because the descriptor failed or stayed full for a second. Readable from any thread.
  [[nodiscard]] uint64_t chunks_lost() const { return chunks_lost_.load(std::memory_order_relaxed); }

 private:
  void run();
  [[nodiscard]] bool write_all(std::string_view chunk);

  base::Fd out_;
  const bool regular_file_;  // anything else is written in pieces that cannot block once poll() says so
  std::atomic<uint64_t> chunks_lost_ = 0;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::string> pending_ GUARDED_BY(mutex_);
  size_t pending_bytes_ GUARDED_BY(mutex_) = 0;  // also counts what is being written
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weft::observe
