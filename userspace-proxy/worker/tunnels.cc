#include "userspace-proxy/worker/tunnels.h"

#include "userspace-proxy/worker/tunnel_attempt.h"

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

std::string baggage_of(const model::Workload& workload) {
  return hbone::write_baggage({.cluster = "Kubernetes",
                               .ns = workload.ns,
                               .workload_kind = workload.owner.empty() ? "pod" : "deployment",
                               .workload = workload.owner.empty() ? workload.name : workload.owner,
                               .service = workload.canonical_name,
                               .revision = workload.canonical_revision});
}

uint32_t Tunnels::source_of(std::string_view pod) const {
  if (config_ == nullptr) return model::kNone;
  const auto& snapshot = config_->index->snapshot();
  const uint32_t source = pod.empty() ? snapshot.self : config_->index->workload_named(pod);
  return source < snapshot.workloads.size() ? source : model::kNone;
}

Tunnels::Way Tunnels::way_of(std::string_view pod, const base::SocketAddress& destination,
                             const model::SpiffeId& accepted) const {
  const uint32_t source = source_of(pod);
  if (source == model::kNone) return Way::kNone;
  const auto& snapshot = config_->index->snapshot();
  const uint32_t to = config_->index->workload_at(destination.address);
  // The address may be another's by now.
  if (to == model::kNone || model::spiffe_id_of(snapshot.workloads[to], snapshot.settings) != accepted) return Way::kNone;
  if (!pod.empty() && !snapshot.workloads[source].enrolled) return Way::kPlain;
  return model::needs_tunnel(snapshot, source, to, destination.port) ? Way::kTunnel : Way::kPlain;
}

std::unique_ptr<connect::Dial> Tunnels::dial(const connect::DialTarget& target, connect::DialHandler& handler) {
  if (!target.identity) return plain_.dial(target, handler);
  const uint32_t known = source_of(target.pod);
  const model::Workload* const source =
      known == model::kNone ? nullptr : &config_->index->snapshot().workloads[known];
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
