#pragma once
#include "userspace-proxy/observe/metrics.h"
#include "userspace-proxy/observe/record.h"

namespace weft::observe {

class AccessLog;

// The one exit of every connection and request: one call counts it and writes its access-log line.
// One per worker, owned by it, used in its thread only.
class Recorder {
 public:
  Recorder(Metrics& metrics, AccessLog& log) : metrics_(metrics), log_(log) {}

  void request_done(const RequestRecord& record);
  // A layer-4 connection was described; call before anything is dialled.
  void connection_opened(FlowId flow) { metrics_.tcp_opened(flow); }
  void connection_done(const ConnRecord& record);

  [[nodiscard]] Metrics& metrics() { return metrics_; }
  [[nodiscard]] Counters& counters() { return metrics_.counters; }

 private:
  Metrics& metrics_;
  AccessLog& log_;
};

}  // namespace weft::observe
