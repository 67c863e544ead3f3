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
  // Bytes since the last call, so that long connections show up while they live.
  void connection_bytes(FlowId flow, uint64_t received, uint64_t sent) {
    metrics_.tcp_bytes(flow, received, sent);
  }
  // Bytes of the record go to the log only; the last connection_bytes() comes before.
  void connection_done(const ConnRecord& record);

  // Lines are written: what only they need is worth making.
  [[nodiscard]] bool logs() const;
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  [[nodiscard]] Counters& counters() { return metrics_.counters; }

 private:
  Metrics& metrics_;
  AccessLog& log_;
};

}  // namespace weft::observe
