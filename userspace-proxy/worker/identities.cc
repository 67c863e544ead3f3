#include "userspace-proxy/worker/identities.h"

#include "userspace-proxy/base/log.h"

namespace weft::worker {

void Identities::note_error(const model::SpiffeId& identity, const std::string& what) {
  spdlog::warn("identity {}: {}", identity.to_string(), what);
  base::MutexLock lock(mutex_);
  auto& status = status_[identity];
  ++status.failures;
  status.last_error = what;
}

void Identities::on_key_wanted(const model::KeyWanted& wanted) {
  auto request = keys_.request(wanted.identity, wanted.key_id);
  if (!request) return note_error(wanted.identity, base::describe(request.error()));
  {
    base::MutexLock lock(mutex_);
    status_.try_emplace(wanted.identity);
  }
  outlet_.request_certificate({wanted.identity, wanted.key_id, std::move(*request)});
}

void Identities::on_certificate(const model::CertificateOffer& offer, std::string_view pem) {
  auto credential = keys_.accept(offer.identity, offer.key_id, pem, clock_.wall_now());
  if (!credential) {
    {
      base::MutexLock lock(mutex_);
      ++refused_;
    }
    return note_error(offer.identity, base::describe(credential.error()));
  }
  {
    base::MutexLock lock(mutex_);
    auto& status = status_[offer.identity];
    ++status.certificates;
    status.not_after = (*credential)->not_after;
    status.last_error.clear();
  }
  outlet_.spread(*credential);
}

void Identities::on_certificate_failed(const model::CertificateFailed& failed) {
  note_error(failed.identity, failed.reason);
  outlet_.spread_failure(failed.identity, failed.reason);
}

void Identities::on_identity_gone(const model::SpiffeId& identity) {
  keys_.forget(identity);
  {
    base::MutexLock lock(mutex_);
    status_.erase(identity);
  }
  outlet_.withdraw(identity);
}

void Identities::on_trust_bundle(uint64_t generation, std::string_view pem) {
  auto bundle = tls::TrustBundle::parse(pem, generation);
  if (!bundle) {
    base::MutexLock lock(mutex_);
    ++refused_;
    spdlog::error("trust bundle {} refused, the last good one stays: {}", generation,
                  base::describe(bundle.error()));
    return;
  }
  {
    base::MutexLock lock(mutex_);
    bundle_generation_ = generation;
  }
  for (const auto& warning : (*bundle)->warnings()) spdlog::warn("trust bundle {}: {}", generation, warning);
  outlet_.spread(*bundle);
}

void Identities::metrics(std::vector<observe::ProcessValue>& out) const {
  base::MutexLock lock(mutex_);
  out.push_back({"weft_proxy_trust_bundle_generation", "of the roots that peers are verified against",
                 static_cast<double>(bundle_generation_)});
  out.push_back({"weft_proxy_credentials_refused_total", "certificates and trust bundles refused as broken",
                 static_cast<double>(refused_), true});
  const auto now = clock_.wall_now();
  for (const auto& [identity, status] : status_) {
    const std::vector<std::pair<std::string, std::string>> labels = {{"identity", identity.to_string()}};
    const bool none = status.not_after == base::WallTime{};
    const auto left = std::chrono::duration_cast<base::Millis>(status.not_after - now).count();
    out.push_back({"weft_proxy_certificate_expiry_seconds", "until the certificate in use expires; 0: there is none",
                   none ? 0.0 : static_cast<double>(left) / 1000.0, false, labels});
    out.push_back({"weft_proxy_certificates_taken_total", "certificates taken into use",
                   static_cast<double>(status.certificates), true, labels});
    out.push_back({"weft_proxy_certificate_failures_total", "times no certificate could be had or taken",
                   static_cast<double>(status.failures), true, labels});
    auto error = labels;
    error.emplace_back("reason", status.last_error);
    if (!status.last_error.empty())
      out.push_back({"weft_proxy_certificate_last_error", "1 while the last attempt failed", 1, false, error});
  }
}

}  // namespace weft::worker
