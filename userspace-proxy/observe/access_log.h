#pragma once
#include <functional>
#include <string>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/observe/counters.h"
#include "userspace-proxy/observe/record.h"

namespace weft::observe {

// Where whole chunks of finished lines go. take() must not block; false means the chunk was not taken.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual bool take(std::string chunk) = 0;
};

// One worker's access log: formats lines into one buffer and hands it on when it is full or kFlushAfter old.
// Off until enable(). What the sink does not take is dropped and counted. Thread: its worker's only.
class AccessLog {
 public:
  static constexpr size_t kChunk = 32 * 1024;
  static constexpr base::Nanos kFlushAfter = base::Millis(100);

  AccessLog(base::TimerWheel& timers, LogSink& sink, Counters& counters);
  ~AccessLog() { flush(); }

  void enable(bool on);
  [[nodiscard]] bool enabled() const { return enabled_; }

  template <typename Record>
  void write(const Record& record) {
    if (enabled_) write_line(record);
  }
  void flush();

 private:
  void write_line(const RequestRecord& record);
  void write_line(const ConnRecord& record);
  void line_added();

  LogSink& sink_;
  Counters& counters_;
  bool enabled_ = false;
  std::string buffer_;
  uint64_t lines_ = 0;  // in buffer_
  base::Timer flush_timer_;
};

}  // namespace weft::observe
