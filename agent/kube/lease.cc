#include "agent/kube/lease.h"

#include "agent/kube/micro_time.h"

namespace weft::kube {

using base::Instant;
using base::Nanos;
using objects::Node;

LeaseRecord read_lease(const Node& lease) {
  const Node& spec = lease.at({"spec"});
  return {.holder = spec.at({"holderIdentity"}).as_string(),
          .duration_seconds = spec.at({"leaseDurationSeconds"}).as_int(),
          .acquire_time = spec.at({"acquireTime"}).as_string(),
          .renew_time = spec.at({"renewTime"}).as_string(),
          .transitions = spec.at({"leaseTransitions"}).as_int()};
}

Election::Move Election::look(const std::optional<LeaseRecord>& seen, Instant now) {
  if (!seen) {
    lost();
    seen_ = {};
    any_seen_ = false;
    return Move::kCreate;
  }
  if (!any_seen_ || *seen != seen_) {
    // Its age counts from when we first saw it so: clocks of others are not believed.
    seen_ = *seen;
    seen_at_ = now;
    any_seen_ = true;
  }
  if (seen->holder == options_.identity) return Move::kRenew;
  lost();
  if (seen->holder.empty()) return Move::kTake;
  const Nanos duration = seen->duration_seconds > 0
                             ? Nanos(std::chrono::seconds(std::min<int64_t>(seen->duration_seconds, 3600)))
                             : options_.duration;
  return now - seen_at_ >= duration ? Move::kTake : Move::kWait;
}

LeaseRecord Election::record(base::WallTime wall) const {
  LeaseRecord out{.holder = options_.identity,
                  .duration_seconds = options_.duration / std::chrono::seconds(1),
                  .acquire_time = micro_time(wall),
                  .renew_time = micro_time(wall),
                  .transitions = 0};
  if (!any_seen_) return out;
  const bool ours = seen_.holder == options_.identity;
  if (ours) out.acquire_time = seen_.acquire_time;
  // client-go counts a change of hands, also after a release.
  out.transitions = ours ? seen_.transitions : seen_.transitions + 1;
  return out;
}

LeaseRecord Election::released(base::WallTime wall) const {
  return {.holder = "",
          .duration_seconds = 1,
          .acquire_time = micro_time(wall),
          .renew_time = micro_time(wall),
          .transitions = seen_.transitions};
}

void Election::won(const LeaseRecord& written, Instant asked) {
  seen_ = written;
  seen_at_ = asked;
  any_seen_ = true;
  // From when the request was sent: the others may have seen it stored any time after.
  leads_until_ = asked + options_.renew_deadline;
}

void Election::lost() {
  leads_until_.reset();
}

}  // namespace weft::kube
