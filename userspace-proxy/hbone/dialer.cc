#include "userspace-proxy/hbone/dialer.h"

#include <algorithm>

#include "userspace-proxy/hbone/entry.h"
#include "userspace-proxy/hbone/pending.h"

namespace weft::hbone {
namespace {

std::string key_of(const TunnelTarget& target) {
  std::vector<std::string> accepted;
  for (const auto& identity : target.accepted) accepted.push_back(identity.to_string());
  std::ranges::sort(accepted);
  std::string key(target.pod);
  key.append(1, '\n').append(target.source.to_string());
  key.append(1, '\n').append(target.destination.to_string());
  for (const auto& identity : accepted) key.append(1, '\n').append(identity);
  return key;
}

}  // namespace

TunnelDialer::TunnelDialer(Engine& engine, connect::Dialer& tcp, Securer& securer)
    : engine_(engine), tcp_(tcp), securer_(securer) {}

TunnelDialer::~TunnelDialer() = default;

std::unique_ptr<connect::Dial> TunnelDialer::dial(const TunnelTarget& target, connect::DialHandler& handler) {
  Entry& entry = entry_of(target);
  auto pending = std::make_unique<Pending>(entry, target, handler);
  entry.add(*pending);
  return pending;
}

TunnelDialer::Entry& TunnelDialer::entry_of(const TunnelTarget& target) {
  auto key = key_of(target);
  auto& entry = entries_[key];
  if (!entry) entry = std::make_unique<Entry>(*this, std::move(key), target);
  return *entry;
}

void TunnelDialer::forget(Entry& entry) {
  const auto found = entries_.find(entry.key);
  CHECK(found != entries_.end());
  engine_.loop.retire(std::move(found->second));
  entries_.erase(found);
}

std::vector<TunnelDialer::Entry*> TunnelDialer::entries() const {
  std::vector<Entry*> out;
  for (const auto& [key, entry] : entries_) out.push_back(entry.get());
  return out;
}

void TunnelDialer::on_bundle(const StillTrusted& still_trusted) {
  for (Entry* const entry : entries()) {
    entry->restart_opening();
    for (const auto& tunnel : entry->tunnels) {
      if (tunnel.proof == nullptr || still_trusted(*tunnel.proof)) continue;
      ++engine_.counters.hbone_bundle_cut;
      tunnel.session->abort();
    }
  }
}

void TunnelDialer::forget_identity(const model::SpiffeId& identity) {
  for (Entry* const entry : entries())
    if (entry->source == identity) entry->let_go();
}

void TunnelDialer::forget_pod(std::string_view pod) {
  for (Entry* const entry : entries())
    if (entry->pod == pod) entry->let_go();
}

void TunnelDialer::renew(const model::SpiffeId& identity) {
  for (Entry* const entry : entries()) {
    if (entry->source != identity) continue;
    entry->restart_opening();
    for (const auto& tunnel : entry->tunnels) tunnel.session->drain();
  }
}

void TunnelDialer::drain() {
  for (Entry* const entry : entries())
    for (const auto& tunnel : entry->tunnels) tunnel.session->drain();
}

size_t TunnelDialer::streams() const {
  size_t total = 0;
  for (const auto& [key, entry] : entries_)
    for (const auto& tunnel : entry->tunnels) total += tunnel.session->streams();
  return total;
}

}  // namespace weft::hbone
