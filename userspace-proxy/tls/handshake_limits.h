#pragma once
// How many handshakes a worker takes on: a bound on those under way and a rate per source address.
#include <cstdint>
#include <memory>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"

namespace weft::tls {

// Sources share a fixed table of token buckets by a seeded hash: memory is bounded whatever comes, nothing is
// evicted, and two sources that fall together share one rate. Thread: the worker's. Pure but for its own state.
class HandshakeLimits {
 public:
  struct Config {
    size_t under_way = 256;     // handshakes at once
    uint32_t burst = 100;       // handshakes of one source at once
    uint32_t per_second = 50;   // of one source, in the long run
    size_t buckets = 4096;
    uint64_t seed = 0;          // random per process, so that nobody can aim at another's bucket
  };
  enum class Answer : uint8_t { kGo, kBusy, kTooOften };

  explicit HandshakeLimits(const Config& config);
  // kGo counts one under way until done() is called for it.
  [[nodiscard]] Answer admit(const base::Address& source, base::Instant now);
  void done() { --under_way_; }
  [[nodiscard]] size_t under_way() const { return under_way_; }

 private:
  struct Bucket {
    uint64_t tokens_milli = 0;
    base::Instant last{};
  };
  [[nodiscard]] Bucket& bucket_of(const base::Address& source);

  Config config_;
  size_t under_way_ = 0;
  std::vector<Bucket> buckets_;
};

}  // namespace weft::tls
