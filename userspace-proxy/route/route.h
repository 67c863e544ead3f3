#pragma once
// Where a request goes: (compiled tables, request, caller) -> cluster or a reason for a local reply. Pure.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::route {

struct HeaderView {
  std::string_view name;  // any case
  std::string_view value;
};

// What routing reads of a request. Nothing is kept beyond the call.
struct RequestView {
  std::string_view method;
  std::string_view path;   // normalised, without query
  std::string_view query;  // without '?'
  std::string_view authority;
  std::string_view scheme = "http";
  std::span<const HeaderView> headers;
};

// The calling pod, for sourceLabels and sourceNamespace; null labels match no label condition.
struct Caller {
  const model::Labels* labels = nullptr;
  std::string_view ns;
};

enum class Outcome : uint8_t {
  kCluster,
  kNoRoute,    // no virtual host or no route: 404 NR
  kNoCluster,  // the route names an unknown service or subset: 503 NC
};

struct Decision {
  Outcome outcome = Outcome::kNoRoute;
  uint32_t cluster = model::kNone;  // into Snapshot::clusters when kCluster
  // Views into the Snapshot.
  std::string_view route;         // name for the log
  std::string_view cluster_name;  // also for kNoCluster
  bool host_known = false;        // some virtual host took the authority
};

class Table;

// All route tables of one Snapshot, made once, off the request path; immutable, shared by connections. Pins
// the Snapshot.
class Tables {
 public:
  static std::shared_ptr<const Tables> build(model::SnapshotPtr snapshot);
  ~Tables();

  [[nodiscard]] const model::Snapshot& snapshot() const { return *snapshot_; }
  [[nodiscard]] const model::SnapshotPtr& snapshot_ptr() const { return snapshot_; }
  // REQUIRES: index < snapshot().route_tables.size().
  [[nodiscard]] const Table& table(uint32_t index) const { return *tables_[index]; }
  // Matches that could not be compiled (they match nothing): one sentence each, for the log.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  Tables() = default;
  model::SnapshotPtr snapshot_;
  std::vector<std::unique_ptr<const Table>> tables_;
  std::vector<std::string> problems_;
};

// `draw` decides among weighted clusters: evenly spread 32-bit numbers (see Spread) give fair shares.
[[nodiscard]] Decision decide(const Table& table, const RequestView& request, const Caller& caller,
                              uint32_t draw);

// "HTTPGO.dev:8888" -> host without port; IPv6 brackets kept, one trailing dot removed. Case is left alone.
[[nodiscard]] std::string_view host_of(std::string_view authority);

// Evenly spread draws: the fractional parts of n times the golden ratio. Any run of n draws, also every k-th
// of them, is split by weights w : v to within a few requests, which independent random draws are not.
class Spread {
 public:
  explicit Spread(uint32_t start) : state_(start) {}
  uint32_t next() { return state_ += 0x9E3779B9u; }

 private:
  uint32_t state_;
};

}  // namespace weft::route
