#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/model/snapshot.h"
#include "userspace-proxy/observe/counters.h"
#include "userspace-proxy/observe/flow.h"
#include "userspace-proxy/observe/record.h"

namespace weft::observe {

inline constexpr std::array<double, 19> kHistogramBounds = {
    0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
    2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

struct Histogram {
  std::array<uint64_t, kHistogramBounds.size() + 1> buckets{};  // not cumulative; the last one is +Inf
  double sum = 0;
  void observe(double value);
};

struct RequestSeries {
  std::shared_ptr<const FlowLabels> labels;
  uint16_t code = 0;
  int16_t grpc_status = -1;
  Flag flag = Flag::kNone;
  uint32_t next = model::kNone;  // the next series of the same flow
  uint64_t requests = 0;
  Histogram duration_ms, request_bytes, response_bytes;
};

struct TcpSeries {
  std::shared_ptr<const FlowLabels> labels;
  uint64_t opened = 0, received = 0, sent = 0;
  std::array<uint64_t, static_cast<size_t>(Flag::kCount)> closed{};
};

// All numbers of one worker: plain fields, written and copied by the worker's own thread only. A scrape asks
// the worker (Loop::post) for copy(). Flows and series are bounded; what comes later is counted in one
// overflow flow whose labels say "overflow", and in Counters::series_overflow.
class Metrics {
 public:
  static constexpr size_t kMaxFlows = 4096;
  static constexpr size_t kMaxRequestSeries = 8192;
  static constexpr FlowId kOverflowFlow = 0;

  Metrics();

  Counters counters;

  // Resolve once per connection (or per connection and destination) and keep it.
  [[nodiscard]] FlowId flow(const model::Snapshot& snapshot, const FlowKey& key);

  void request_done(const RequestRecord& record);
  void tcp_opened(FlowId flow);
  void tcp_bytes(FlowId flow, uint64_t received, uint64_t sent);
  void tcp_closed(FlowId flow, Flag flag);

  struct Copy {
    Counters counters;
    std::vector<RequestSeries> requests;
    std::vector<TcpSeries> tcp;
  };
  [[nodiscard]] Copy copy() const;

 private:
  struct Flow {
    std::shared_ptr<const FlowLabels> labels;
    uint32_t first_request = model::kNone;  // head of a short list through RequestSeries::next
    uint32_t tcp = model::kNone;
  };
  struct KeyHash {
    size_t operator()(const FlowKey& key) const noexcept;
  };
  [[nodiscard]] FlowId flow_by_labels(FlowLabels labels);
  [[nodiscard]] RequestSeries& series_of(FlowId flow, uint16_t code, int grpc_status, Flag flag);
  [[nodiscard]] TcpSeries& tcp_of(FlowId flow);

  std::vector<Flow> flows_;
  std::unordered_map<std::string, FlowId> by_labels_;  // labels joined; across Snapshots
  std::vector<RequestSeries> requests_;
  std::vector<TcpSeries> tcp_;
  uint64_t cached_version_ = 0;  // Snapshot version that `by_key_` speaks about
  std::unordered_map<FlowKey, FlowId, KeyHash> by_key_;
};

}  // namespace weft::observe
