#include "userspace-proxy/tls/handshake_limits.h"

#include <algorithm>
#include <cstring>

namespace weft::tls {
namespace {

// A 64-bit finaliser (splitmix64): every bit of the input moves every bit of the output.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace

HandshakeLimits::HandshakeLimits(const Config& config)
    : config_(config), buckets_(std::max<size_t>(1, config.buckets)) {
  for (auto& bucket : buckets_) bucket.tokens_milli = uint64_t{config.burst} * 1000;
}

HandshakeLimits::Bucket& HandshakeLimits::bucket_of(const base::Address& source) {
  uint64_t high = 0, low = 0;
  std::memcpy(&high, source.bytes.data(), 8);
  std::memcpy(&low, source.bytes.data() + 8, 8);
  return buckets_[mix(mix(high ^ config_.seed) ^ low) % buckets_.size()];
}

HandshakeLimits::Answer HandshakeLimits::admit(const base::Address& source, base::Instant now) {
  if (under_way_ >= config_.under_way) return Answer::kBusy;
  auto& bucket = bucket_of(source);
  if (bucket.under_way >= config_.under_way_of_one) return Answer::kTooMany;
  const uint64_t full = uint64_t{config_.burst} * 1000;
  if (now > bucket.last) {
    const auto passed = std::chrono::duration_cast<base::Millis>(now - bucket.last);
    // A bucket untouched for longer than it takes to fill is full: no overflow whatever the time.
    const uint64_t to_fill_ms = config_.per_second == 0 ? UINT64_MAX : full / config_.per_second + 1;
    const auto passed_ms = static_cast<uint64_t>(passed.count());
    bucket.tokens_milli =
        passed_ms >= to_fill_ms ? full : std::min(full, bucket.tokens_milli + passed_ms * config_.per_second);
    bucket.last += passed;  // what is below a millisecond is counted the next time
  }
  if (bucket.tokens_milli < 1000) return Answer::kTooOften;
  bucket.tokens_milli -= 1000;
  ++bucket.under_way;
  ++under_way_;
  return Answer::kGo;
}

bool HandshakeLimits::wait(const base::Address& source) {
  auto& bucket = bucket_of(source);
  if (bucket.waiting >= config_.waiting_of_one) return false;
  ++bucket.waiting;
  return true;
}

void HandshakeLimits::done(const base::Address& source) {
  --bucket_of(source).under_way;
  --under_way_;
}

}  // namespace weft::tls
