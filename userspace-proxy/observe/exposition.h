#pragma once
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "userspace-proxy/observe/metrics.h"

namespace weft::observe {

// One number that is not a worker's: "weft_proxy_agent_connected", ...
struct ProcessValue {
  std::string name, help;
  double value = 0;
  bool counter = false;
  std::vector<std::pair<std::string, std::string>> labels{};  // values of one name with other labels: one after another
};

// What a scrape is made of.
struct Gathered {
  std::vector<Metrics::Copy> workers;
  std::vector<ProcessValue> process;
};

// Turns the numbers of all workers into the Istio families and weft's own. Series of one name are summed over
// the workers. Collect() runs in the scraping thread and calls `gather` there.
class Exposition final : public prometheus::Collectable {
 public:
  explicit Exposition(std::function<Gathered()> gather) : gather_(std::move(gather)) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;
  [[nodiscard]] std::string text() const;

 private:
  std::function<Gathered()> gather_;
};

// All counters of all workers, one "name value" a line.
[[nodiscard]] std::string counters_text(const std::vector<Metrics::Copy>& workers);

}  // namespace weft::observe
