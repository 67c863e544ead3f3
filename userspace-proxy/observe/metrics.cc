#include "userspace-proxy/observe/metrics.h"

#include <algorithm>
#include <numeric>

namespace weft::observe {
namespace {

std::string joined(const FlowLabels& labels) {
  return std::accumulate(labels.values.begin(), labels.values.end(), std::string(),
                         [](std::string all, const std::string& value) {
                           all += value;
                           all += '\0';
                           return all;
                         });
}

}  // namespace

void Histogram::observe(double value) {
  const auto bound = std::ranges::lower_bound(kHistogramBounds, value);
  ++buckets[static_cast<size_t>(bound - kHistogramBounds.begin())];
  sum += value;
}

size_t Metrics::KeyHash::operator()(const FlowKey& key) const noexcept {
  uint64_t mixed = static_cast<uint64_t>(key.reporter) << 16 |
                   static_cast<uint64_t>(key.protocol) << 8 | static_cast<uint64_t>(key.security);
  for (const uint32_t index : {key.source, key.service, key.destination})
    mixed = (mixed ^ index) * 0x9e3779b97f4a7c15U + (mixed >> 29);
  return static_cast<size_t>(mixed ^ mixed >> 32);
}

Metrics::Metrics() {
  auto labels = std::make_shared<const FlowLabels>(overflow_labels());
  flows_.push_back({.labels = labels, .first_request = 0, .tcp = 0});
  requests_.push_back({.labels = labels});
  tcp_.push_back({.labels = labels});
}

FlowId Metrics::flow(const model::Snapshot& snapshot, const FlowKey& key) {
  if (snapshot.version != cached_version_ || by_key_.size() > kMaxFlows) {
    by_key_.clear();
    cached_version_ = snapshot.version;
  }
  if (const auto known = by_key_.find(key); known != by_key_.end()) return known->second;
  const FlowId id = flow_by_labels(labels_of(snapshot, key));
  by_key_.emplace(key, id);
  return id;
}

FlowId Metrics::flow_by_labels(FlowLabels labels) {
  std::string name = joined(labels);
  if (const auto known = by_labels_.find(name); known != by_labels_.end()) return known->second;
  if (flows_.size() >= kMaxFlows) return kOverflowFlow;
  const auto id = static_cast<FlowId>(flows_.size());
  flows_.push_back({.labels = std::make_shared<const FlowLabels>(std::move(labels))});
  by_labels_.emplace(std::move(name), id);
  return id;
}

RequestSeries& Metrics::series_of(FlowId flow, uint16_t code, int grpc_status, Flag flag) {
  if (flow == kOverflowFlow) return requests_[0];
  for (uint32_t i = flows_[flow].first_request; i != model::kNone; i = requests_[i].next) {
    RequestSeries& series = requests_[i];
    if (series.code == code && series.flag == flag && series.grpc_status == grpc_status) return series;
  }
  if (requests_.size() >= kMaxRequestSeries) return requests_[0];
  const auto index = static_cast<uint32_t>(requests_.size());
  requests_.push_back({.labels = flows_[flow].labels,
                       .code = code,
                       .grpc_status = static_cast<int16_t>(grpc_status),
                       .flag = flag,
                       .next = flows_[flow].first_request});
  flows_[flow].first_request = index;
  return requests_.back();
}

TcpSeries& Metrics::tcp_of(FlowId flow) {
  Flow& entry = flows_[flow];
  if (entry.tcp == model::kNone) {
    entry.tcp = static_cast<uint32_t>(tcp_.size());
    tcp_.push_back({.labels = entry.labels});
  }
  if (flow == kOverflowFlow) ++counters.series_overflow;
  return tcp_[entry.tcp];
}

void Metrics::request_done(const RequestRecord& record) {
  RequestSeries& series = series_of(record.flow, record.code, record.grpc_status, record.flag);
  if (&series == &requests_[0]) ++counters.series_overflow;
  ++series.requests;
  series.duration_ms.observe(std::chrono::duration<double, std::milli>(record.duration).count());
  series.request_bytes.observe(static_cast<double>(record.bytes_received));
  series.response_bytes.observe(static_cast<double>(record.bytes_sent));
}

void Metrics::tcp_opened(FlowId flow) {
  ++tcp_of(flow).opened;
}

void Metrics::tcp_bytes(FlowId flow, uint64_t received, uint64_t sent) {
  TcpSeries& series = tcp_of(flow);
  series.received += received;
  series.sent += sent;
}

void Metrics::tcp_closed(FlowId flow, Flag flag) {
  ++tcp_of(flow).closed[static_cast<size_t>(flag)];
}

Metrics::Copy Metrics::copy() const {
  return {counters, requests_, tcp_};
}

}  // namespace weft::observe
