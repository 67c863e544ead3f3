#include "userspace-proxy/observe/exposition.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <map>

namespace weft::observe {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// The locality block: no part of it is known yet.
constexpr std::string_view kLocality[] = {"source_region", "source_zone", "destination_region",
                                          "destination_zone"};
constexpr size_t kSecurityPolicy = kFlowLabelNames.size() - 1;

void add(Labels& labels, std::string_view name, std::string value) {
  labels.push_back({std::string(name), std::move(value)});
}

Labels request_labels(const RequestSeries& series) {
  Labels labels;
  for (size_t i = 0; i < kSecurityPolicy; ++i) add(labels, kFlowLabelNames[i], series.labels->values[i]);
  add(labels, "response_code", std::to_string(series.code));
  add(labels, "grpc_response_status",
      series.grpc_status < 0 ? std::string("unknown") : std::to_string(series.grpc_status));
  add(labels, "response_flags", std::string(name_of(series.flag)));
  add(labels, kFlowLabelNames[kSecurityPolicy], series.labels->values[kSecurityPolicy]);
  return labels;
}

Labels tcp_labels(const TcpSeries& series, Flag flag) {
  Labels labels;
  for (size_t i = 0; i < kSecurityPolicy; ++i) add(labels, kFlowLabelNames[i], series.labels->values[i]);
  add(labels, "response_flags", std::string(name_of(flag)));
  add(labels, kFlowLabelNames[kSecurityPolicy], series.labels->values[kSecurityPolicy]);
  for (const auto name : kLocality) add(labels, name, "unknown");
  return labels;
}

std::string key_of(const Labels& labels) {
  std::string key;
  for (const auto& label : labels) {
    key += label.value;
    key += '\0';
  }
  return key;
}

// A family under construction: one metric per distinct set of labels.
class Family {
 public:
  Family(std::string name, std::string help, MetricType type) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void add_count(const Labels& labels, uint64_t count) {
    at(labels).counter.value += static_cast<double>(count);
  }
  void add_value(const Labels& labels, double value) {
    (family_.type == MetricType::Gauge ? at(labels).gauge.value : at(labels).counter.value) += value;
  }
  void add_histogram(const Labels& labels, const Histogram& histogram) {
    auto& sum = at(labels).histogram;
    if (sum.bucket.empty()) sum.bucket.resize(histogram.buckets.size());
    uint64_t below = 0;
    for (size_t i = 0; i < histogram.buckets.size(); ++i) {
      below += histogram.buckets[i];
      sum.bucket[i].upper_bound =
          i < kHistogramBounds.size() ? kHistogramBounds[i] : std::numeric_limits<double>::infinity();
      sum.bucket[i].cumulative_count += below;
    }
    sum.sample_count += below;
    sum.sample_sum += histogram.sum;
  }
  [[nodiscard]] bool empty() const { return family_.metric.empty(); }
  [[nodiscard]] MetricFamily take() { return std::move(family_); }

 private:
  ClientMetric& at(const Labels& labels) {
    const auto [place, fresh] = index_.emplace(key_of(labels), family_.metric.size());
    if (fresh) family_.metric.emplace_back().label = labels;
    return family_.metric[place->second];
  }
  MetricFamily family_;
  std::map<std::string, size_t> index_;
};

void take_into(std::vector<MetricFamily>& out, std::initializer_list<Family*> families) {
  for (Family* family : families)
    if (!family->empty()) out.push_back(family->take());
}

void add_requests(const std::vector<Metrics::Copy>& workers, std::vector<MetricFamily>& out) {
  Family total("istio_requests_total", "requests handled", MetricType::Counter);
  Family duration("istio_request_duration_milliseconds",
                  "time from first byte of a request to last of its response", MetricType::Histogram);
  Family request("istio_request_bytes", "size of request bodies", MetricType::Histogram);
  Family response("istio_response_bytes", "size of response bodies", MetricType::Histogram);
  for (const auto& worker : workers) {
    for (const auto& series : worker.requests) {
      if (series.requests == 0) continue;
      const Labels labels = request_labels(series);
      total.add_count(labels, series.requests);
      duration.add_histogram(labels, series.duration_ms);
      request.add_histogram(labels, series.request_bytes);
      response.add_histogram(labels, series.response_bytes);
    }
  }
  take_into(out, {&total, &duration, &request, &response});
}

void add_tcp(const std::vector<Metrics::Copy>& workers, std::vector<MetricFamily>& out) {
  Family opened("istio_tcp_connections_opened_total", "connections opened", MetricType::Counter);
  Family closed("istio_tcp_connections_closed_total", "connections closed", MetricType::Counter);
  Family failed("istio_tcp_connections_failed_total", "connections that ended with a flag",
                MetricType::Counter);
  Family received("istio_tcp_received_bytes_total", "bytes of the request direction", MetricType::Counter);
  Family sent("istio_tcp_sent_bytes_total", "bytes of the response direction", MetricType::Counter);
  for (const auto& worker : workers) {
    for (const auto& series : worker.tcp) {
      if (series.opened == 0) continue;
      const Labels plain = tcp_labels(series, Flag::kNone);
      opened.add_count(plain, series.opened);
      received.add_count(plain, series.received);
      sent.add_count(plain, series.sent);
      for (size_t flag = 0; flag < series.closed.size(); ++flag) {
        if (series.closed[flag] == 0) continue;
        const Labels labels = tcp_labels(series, static_cast<Flag>(flag));
        closed.add_count(labels, series.closed[flag]);
        if (flag != 0) failed.add_count(labels, series.closed[flag]);
      }
    }
  }
  take_into(out, {&opened, &closed, &failed, &received, &sent});
}

void add_counters(const std::vector<Metrics::Copy>& workers, std::vector<MetricFamily>& out) {
  const auto sum_of = [&](uint64_t Counters::* field) {
    uint64_t sum = 0;
    for (const auto& worker : workers) sum += worker.counters.*field;
    return sum;
  };
#define WEFT_EXPOSE(field, help)                                             \
  {                                                                          \
    Family family("weft_proxy_" #field "_total", help, MetricType::Counter); \
    family.add_count({}, sum_of(&Counters::field));                          \
    out.push_back(family.take());                                            \
  }
  WEFT_PROXY_COUNTERS(WEFT_EXPOSE)
#undef WEFT_EXPOSE
}

void add_process(const std::vector<ProcessValue>& values, std::vector<MetricFamily>& out) {
  Family build("istio_build", "component and version", MetricType::Gauge);
  build.add_value({{"component", "weft-proxy"}, {"tag", "unknown"}}, 1);
  out.push_back(build.take());
  // Values of one name make one family, wherever they stand.
  std::map<std::string_view, Family> families;
  for (const auto& value : values) {
    auto [found, fresh] =
        families.try_emplace(value.name, value.name, value.help, value.counter ? MetricType::Counter : MetricType::Gauge);
    Labels labels;
    for (const auto& [name, text] : value.labels) add(labels, name, text);
    found->second.add_value(labels, value.value);
  }
  for (auto& [name, family] : families) out.push_back(family.take());
}

}  // namespace

std::vector<MetricFamily> Exposition::Collect() const {
  const Gathered gathered = gather_();
  std::vector<MetricFamily> families;
  add_requests(gathered.workers, families);
  add_tcp(gathered.workers, families);
  add_counters(gathered.workers, families);
  add_process(gathered.process, families);
  return families;
}

std::string Exposition::text() const {
  return prometheus::TextSerializer().Serialize(Collect());
}

std::string counters_text(const std::vector<Metrics::Copy>& workers) {
  std::string text;
  const auto line = [&](std::string_view name, uint64_t Counters::* field) {
    uint64_t sum = 0;
    for (const auto& worker : workers) sum += worker.counters.*field;
    fmt::format_to(std::back_inserter(text), "{} {}\n", name, sum);
  };
#define WEFT_LINE(field, help) line(#field, &Counters::field);
  WEFT_PROXY_COUNTERS(WEFT_LINE)
#undef WEFT_LINE
  return text;
}

}  // namespace weft::observe
