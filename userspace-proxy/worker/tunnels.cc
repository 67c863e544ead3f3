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

std::string baggage_of(const model::Workload& source) {
  return hbone::write_baggage({.cluster = "Kubernetes",
                               .ns = source.ns,
                               .workload_kind = source.owner.empty() ? "pod" : "deployment",
                               .workload = source.owner.empty() ? source.name : source.owner,
                               .service = source.canonical_name,
                               .revision = source.canonical_revision});
}

}  // namespace

// A dial that waits for a certificate, or fails in the next turn.
class Tunnels::Attempt final : public connect::Dial, private CredentialWaits::Waiter, private base::IoHandler {
 public:
  Attempt(Tunnels& owner, std::string pod, base::SocketAddress destination, model::SpiffeId accepted,
          model::SpiffeId own, std::string baggage, connect::DialHandler& handler)
      : owner_(owner),
        pod_(std::move(pod)),
        destination_(destination),
        accepted_(std::move(accepted)),
        own_(std::move(own)),
        baggage_(std::move(baggage)),
        handler_(handler),
        timer_(owner.loop_.timers(), [this] { on_credential("it did not come in time"); }) {}
  ~Attempt() override {
    if (waiting_) owner_.waits_.leave(own_, *this);
    owner_.loop_.forget(this);
  }

  void begin() {
    if (owner_.waits_.have(own_)) return go();
    ++owner_.counters_.identity_waits;
    waiting_ = owner_.waits_.join(own_, *this);
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
    const std::array accepted = {accepted_};
    const std::string authority = destination_.to_string();
    dial_ = owner_.tunnels_.dial({.pod = pod_,
                                  .source = own_,
                                  .destination = {destination_.address, hbone::kPort},
                                  .accepted = accepted,
                                  .authority = authority,
                                  .baggage = baggage_,
                                  .forwarded = {},
                                  .traceparent = {}},
                                 handler_);
  }
  void on_credential(const std::string& why) override {
    if (std::exchange(waiting_, false)) owner_.waits_.leave(own_, *this);
    timer_.cancel();
    if (why.empty()) return go();
    ++owner_.counters_.tls_no_identity;
    handler_.on_dialled(std::unexpected(no_identity(own_, why)));
  }
  void on_io(uint32_t) override { handler_.on_dialled(std::unexpected(no_identity(own_, failure_))); }

  Tunnels& owner_;
  const std::string pod_;
  const base::SocketAddress destination_;
  const model::SpiffeId accepted_, own_;
  const std::string baggage_;
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
  model::SpiffeId own{trust_domain, source ? source->ns : "", source ? source->service_account : ""};
  model::SpiffeId accepted{trust_domain, std::string(target.identity->ns),
                           std::string(target.identity->service_account)};
  auto attempt = std::make_unique<Attempt>(*this, std::string(target.pod), target.destination, std::move(accepted),
                                           std::move(own), source ? baggage_of(*source) : std::string(), handler);
  if (source == nullptr)
    attempt->fail_soon("the pod is not known");
  else
    attempt->begin();
  return attempt;
}

}  // namespace weft::worker
