#include "userspace-proxy/worker/tunnels.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weft::worker {

// ---- waiting for a certificate of ours

bool CredentialWaits::have(const model::SpiffeId& identity) const {
  return contexts_.bundle() != nullptr && contexts_.credential(identity) != nullptr;
}

bool CredentialWaits::join(const model::SpiffeId& identity, Waiter& waiter) {
  if (count_ >= kMaxWaiting) return false;
  auto& waiters = waiting_[identity];
  if (waiters.empty()) needs_.on_identity_needed(identity);
  waiters.push_back(&waiter);
  ++count_;
  return true;
}

void CredentialWaits::leave(const model::SpiffeId& identity, Waiter& waiter) {
  const auto found = waiting_.find(identity);
  if (found == waiting_.end()) return;
  count_ -= std::erase(found->second, &waiter);
  if (found->second.empty()) waiting_.erase(found);
}

void CredentialWaits::arrived() {
  std::vector<model::SpiffeId> all;
  for (const auto& [identity, waiters] : waiting_)
    if (have(identity)) all.push_back(identity);
  for (const auto& identity : all) tell(identity, "");
}

void CredentialWaits::failed(const model::SpiffeId& identity, const std::string& why) {
  if (!have(identity)) tell(identity, why);
}

// One at a time from the front: a waiter that is told may make another one leave.
void CredentialWaits::tell(const model::SpiffeId& identity, const std::string& why) {
  for (auto found = waiting_.find(identity); found != waiting_.end(); found = waiting_.find(identity)) {
    Waiter* const waiter = found->second.front();
    found->second.pop_front();
    --count_;
    if (found->second.empty()) waiting_.erase(found);
    waiter->on_credential(why);
  }
}

// ---- dialling

namespace {

base::Error no_identity(const model::SpiffeId& own, std::string_view why) {
  return {.kind = base::ErrorKind::kUntrusted,
          .side = base::Side::kSelf,
          .what = fmt::format("no certificate for {}: {}", own.to_string(), why)};
}

}  // namespace

std::string baggage_of(const model::Workload& workload) {
  return hbone::write_baggage({.cluster = "Kubernetes",
                               .ns = workload.ns,
                               .workload_kind = workload.owner.empty() ? "pod" : "deployment",
                               .workload = workload.owner.empty() ? workload.name : workload.owner,
                               .service = workload.canonical_name,
                               .revision = workload.canonical_revision});
}

// A dial that waits for a certificate, or fails in the next turn.
class Tunnels::Attempt final : public connect::Dial, private CredentialWaits::Waiter, private base::IoHandler {
 public:
  struct Plan {
    std::string pod;
    base::SocketAddress destination;
    model::SpiffeId accepted, own;
    std::string baggage, forwarded, traceparent;
  };
  Attempt(Tunnels& owner, Plan plan, connect::DialHandler& handler)
      : owner_(owner),
        plan_(std::move(plan)),
        handler_(handler),
        timer_(owner.loop_.timers(), [this] { on_credential("it did not come in time"); }) {}
  ~Attempt() override {
    if (waiting_) owner_.waits_.leave(plan_.own, *this);
    owner_.loop_.forget(this);
  }

  void begin() {
    if (owner_.waits_.have(plan_.own)) return go();
    ++owner_.counters_.identity_waits;
    waiting_ = owner_.waits_.join(plan_.own, *this);
    if (!waiting_) return fail_soon("too many connections wait for certificates");
    timer_.arm(CredentialWaits::kPatience);
  }
  void fail_soon(std::string why) {
    ++owner_.counters_.tls_no_identity;
    failure_ = std::move(why);
    owner_.loop_.again(this);
  }

 private:
  void go() {
    const std::array accepted = {plan_.accepted};
    const std::string authority = plan_.destination.to_string();
    dial_ = owner_.tunnels_.dial({.pod = plan_.pod,
                                  .source = plan_.own,
                                  .destination = {plan_.destination.address, hbone::kPort},
                                  .accepted = accepted,
                                  .authority = authority,
                                  .baggage = plan_.baggage,
                                  .forwarded = plan_.forwarded,
                                  .traceparent = plan_.traceparent},
                                 handler_);
  }
  void on_credential(const std::string& why) override {
    if (std::exchange(waiting_, false)) owner_.waits_.leave(plan_.own, *this);
    timer_.cancel();
    if (why.empty()) return go();
    ++owner_.counters_.tls_no_identity;
    handler_.on_dialled(std::unexpected(no_identity(plan_.own, why)));
  }
  void on_io(uint32_t) override { handler_.on_dialled(std::unexpected(no_identity(plan_.own, failure_))); }

  Tunnels& owner_;
  const Plan plan_;
  connect::DialHandler& handler_;
  base::Timer timer_;
  bool waiting_ = false;
  std::string failure_;
  std::unique_ptr<connect::Dial> dial_;
};

const model::Workload* Tunnels::source_of(std::string_view pod) const {
  if (config_ == nullptr) return nullptr;
  const auto& snapshot = config_->index->snapshot();
  const uint32_t source = pod.empty() ? snapshot.self : config_->index->workload_named(pod);
  return source < snapshot.workloads.size() ? &snapshot.workloads[source] : nullptr;
}

std::unique_ptr<connect::Dial> Tunnels::dial(const connect::DialTarget& target, connect::DialHandler& handler) {
  if (!target.identity) return plain_.dial(target, handler);
  const model::Workload* const source = source_of(target.pod);
  const std::string trust_domain = config_ ? config_->index->snapshot().settings.trust_domain : std::string();
  const auto& [ns, service_account] = *target.identity;
  auto attempt = std::make_unique<Attempt>(
      *this,
      Attempt::Plan{
          .pod = std::string(target.pod),
          .destination = target.destination,
          .accepted = {trust_domain, std::string(ns), std::string(service_account)},
          .own = {trust_domain, source ? source->ns : "", source ? source->service_account : ""},
          .baggage = source ? baggage_of(*source) : std::string(),
          .forwarded = target.origin ? hbone::write_forwarded(target.origin->client, target.origin->service) : "",
          .traceparent = hbone::fresh_traceparent(random_).to_string()},
      handler);
  if (source == nullptr)
    attempt->fail_soon("the pod is not known");
  else
    attempt->begin();
  return attempt;
}

}  // namespace weft::worker
