#pragma once
// How many handshakes a worker takes on: bounds on those under way, of all and of one source, and a rate per source.
#include <cstdint>
#include <memory>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"

namespace weft::tls {

// Sources share a fixed table of token buckets by a seeded hash: memory is bounded whatever comes, nothing is
// evicted, and two sources that fall together share one rate and one bound. Thread: the worker's. Pure but for its own
// state.
class HandshakeLimits {
 public:
  struct Config {
    size_t under_way = 512;     // handshakes at once; an unfinished one costs about 50 KiB
    // ... of one source. The rate alone would let it keep everybody out: it may leave its handshakes unfinished until
    // their time is up.
    uint32_t under_way_of_one = 64;
    uint32_t waiting_of_one = 256;  // of one source, for their turn: a gateway calls every pod of a node
    uint32_t burst = 100;       // handshakes of one source at once
    uint32_t per_second = 50;   // of one source, in the long run
    size_t buckets = 4096;
    uint64_t seed = 0;          // random per process, so that nobody can aim at another's bucket
  };
  enum class Answer : uint8_t { kGo, kBusy, kTooMany, kTooOften };

  explicit HandshakeLimits(const Config& config);
  // kGo counts one under way until done() is called for the same source. kTooMany, kTooOften: it is this source's fault.
  [[nodiscard]] Answer admit(const base::Address& source, base::Instant now);
  void done(const base::Address& source);
  // One that was not admitted may wait and ask again: counted until wait_over(). False: enough of that source do.
  [[nodiscard]] bool wait(const base::Address& source);
  void wait_over(const base::Address& source) { --bucket_of(source).waiting; }
  [[nodiscard]] size_t under_way() const { return under_way_; }

 private:
  struct Bucket {
    uint64_t tokens_milli = 0;
    base::Instant last{};
    uint32_t under_way = 0, waiting = 0;
  };
  [[nodiscard]] Bucket& bucket_of(const base::Address& source);

  Config config_;
  size_t under_way_ = 0;
  std::vector<Bucket> buckets_;
};

}  // namespace weft::tls
