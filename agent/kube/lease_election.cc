// The thread that runs an Election.
#include <pthread.h>

#include "agent/kube/backoff.h"
#include "agent/kube/lease.h"

namespace weft::kube {
namespace {

using base::Instant;
using base::Nanos;
using objects::Node;

const Resource& leases() {
  static const Resource kLeases = *known_resource("coordination.k8s.io/v1", "Lease");
  return kLeases;
}

Node lease_object(const LeaseOptions& options, const LeaseRecord& record, const Node& last) {
  Node lease = last.is_mapping() ? last : Node::mapping();  // keeps labels and the resourceVersion
  lease.set("apiVersion", Node::string("coordination.k8s.io/v1"));
  lease.set("kind", Node::string("Lease"));
  lease["metadata"].set("name", Node::string(options.name));
  lease["metadata"].set("namespace", Node::string(options.ns));
  lease["metadata"].erase("managedFields");
  Node& spec = lease["spec"];
  spec.set("holderIdentity", Node::string(record.holder));
  spec.set("leaseDurationSeconds", Node::integer(record.duration_seconds));
  spec.set("acquireTime", Node::string(record.acquire_time));
  spec.set("renewTime", Node::string(record.renew_time));
  spec.set("leaseTransitions", Node::integer(record.transitions));
  return lease;
}

}  // namespace

LeaderElection::LeaderElection(Client& client, const base::Clock& clock, LeaseOptions options,
                               Callbacks callbacks)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      election_(options_) {}

LeaderElection::~LeaderElection() {
  stop();
}

void LeaderElection::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void LeaderElection::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool LeaderElection::leads() const {
  return clock_.now().time_since_epoch().count() < leads_until_.load(std::memory_order_acquire);
}

std::string LeaderElection::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

std::string LeaderElection::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void LeaderElection::run() {
  pthread_setname_np(pthread_self(), "kube-lease");
  Spread spread(Spread::random_seed());
  while (true) {
    step();
    publish();
    std::unique_lock lock(mutex_);
    const Nanos wait = spread.between(options_.retry, options_.retry + options_.retry / 5);
    if (wake_.wait_for(lock, wait, [this] { return stopping_; })) break;
  }
  release();
  publish();
}

void LeaderElection::step() {
  const Instant asked = clock_.now();
  const RequestLimits limits{
      .deadline = std::min<Nanos>(options_.renew_deadline / 2, std::chrono::seconds(5)), .retries = 1};
  auto lease = client_.get(leases(), options_.ns, options_.name, limits);
  if (!lease && !lease.error().not_found()) return note(&lease.error());
  std::optional<LeaseRecord> seen;
  last_ = {};
  if (lease) {
    seen = read_lease(*lease);
    last_ = *std::move(lease);
  }
  const Election::Move move = election_.look(seen, clock_.now());
  if (move == Election::Move::kWait) return note(nullptr);
  const auto written = write(move, asked);
  note(written ? nullptr : &written.error());
}

ApiResult<void> LeaderElection::write(Election::Move move, Instant asked) {
  const LeaseRecord record = election_.record(clock_.wall_now());
  const Node object = lease_object(options_, record, last_);
  const RequestLimits limits{
      .deadline = std::min<Nanos>(options_.renew_deadline / 2, std::chrono::seconds(5)), .retries = 0};
  const auto answer = move == Election::Move::kCreate
                          ? client_.create_object(leases(), options_.ns, object, {}, limits)
                          : client_.replace(leases(), object, {}, limits);
  if (answer) {
    // As the server has stored it: what is read next time must compare equal.
    election_.won(read_lease(*answer), asked);
    last_ = *answer;
    return {};
  }
  // Somebody else was faster: that is no trouble, but we lead no more.
  if (answer.error().code == 409) {
    election_.lost();
    return {};
  }
  return std::unexpected(answer.error());
}

void LeaderElection::note(const ApiError* error) {
  const std::lock_guard lock(mutex_);
  problem_ = error ? error->what : "";
  holder_ = election_.holder();
}

void LeaderElection::publish() {
  const auto until = election_.leads_until();
  leads_until_.store(until ? until->time_since_epoch().count() : 0, std::memory_order_release);
  const bool leading = leads();
  if (leading == told_leading_) return;
  told_leading_ = leading;
  const auto& callback = leading ? callbacks_.elected : callbacks_.lost;
  if (callback) callback();
}

void LeaderElection::release() {
  const bool led = election_.leads(clock_.now());
  election_.lost();
  // Say so first: who still acts must have stopped before another may begin.
  publish();
  if (!led) return;
  const Node object = lease_object(options_, election_.released(clock_.wall_now()), last_);
  const auto answer =
      client_.replace(leases(), object, {}, {.deadline = std::chrono::seconds(2), .retries = 0});
  note(answer ? nullptr : &answer.error());
}

}  // namespace weft::kube
