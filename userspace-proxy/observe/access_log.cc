#include "userspace-proxy/observe/access_log.h"

#include "userspace-proxy/observe/log_line.h"

namespace weft::observe {

AccessLog::AccessLog(base::TimerWheel& timers, LogSink& sink, Counters& counters)
    : sink_(sink), counters_(counters), flush_timer_(timers, [this] { flush(); }) {}

void AccessLog::enable(bool on) {
  if (!on) flush();
  enabled_ = on;
}

void AccessLog::write_line(const RequestRecord& record) {
  append_line(record, buffer_);
  line_added();
}

void AccessLog::write_line(const ConnRecord& record) {
  append_line(record, buffer_);
  line_added();
}

void AccessLog::line_added() {
  ++lines_;
  if (buffer_.size() >= kChunk) return flush();
  if (!flush_timer_.armed()) flush_timer_.arm(kFlushAfter);
}

void AccessLog::flush() {
  flush_timer_.cancel();
  if (lines_ == 0) return;
  if (!sink_.take(std::exchange(buffer_, {}))) counters_.access_log_dropped += lines_;
  lines_ = 0;
}

}  // namespace weft::observe
