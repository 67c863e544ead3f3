#include "agent/certs/service.h"

#include "agent/certs/files.h"
#include "userspace-proxy/base/log.h"

namespace weft::certs {
namespace {

void add_identity(const model::Workload& workload, const model::Settings& settings,
                  std::set<model::SpiffeId>* into) {
  auto identity = model::SpiffeId::parse(model::identity_of(workload, settings));
  if (identity)
    into->insert(std::move(*identity));
  else
    spdlog::error("certs: {}: {}", model::key_of(workload), identity.error().what);
}

}  // namespace

std::set<model::SpiffeId> identities_of(const model::Snapshot& snapshot) {
  std::set<model::SpiffeId> identities;
  for (const auto& pod : snapshot.local_pods)
    add_identity(snapshot.workloads.at(pod.workload), snapshot.settings, &identities);
  if (snapshot.role == model::Role::kGateway && snapshot.self != model::kNone)
    add_identity(snapshot.workloads.at(snapshot.self), snapshot.settings, &identities);
  return identities;
}

Service::Service(base::Loop& loop, publish::Publisher& publisher, std::unique_ptr<CaClient> client,
                 ServiceOptions options)
    : loop_(loop),
      publisher_(publisher),
      client_(std::move(client)),
      options_(std::move(options)),
      bundle_(options_.root_file.empty() ? TrustBundle::Source::kAnswers : TrustBundle::Source::kFile,
              loop.clock()),
      desk_(*this, loop.clock(), [this] { return std::uniform_real_distribution<double>(0, 1)(random_); }),
      turn_timer_(loop.timers(), [this] { turn(); }),
      look_timer_(loop.timers(), [this] { look_at_roots(); }),
      clerks_(*client_, kMostAsked, [this](uint64_t ask, base::Result<Answer> answer) {
        loop_.post([this, ask, answer = std::move(answer)] { take_answer(ask, answer); });
      }) {}

Service::~Service() = default;

void Service::start() {
  publisher_.serve_certificates(this);
  desk_.set_roots(nullptr, bundle_.source() == TrustBundle::Source::kFile);
  if (bundle_.source() == TrustBundle::Source::kFile) look_at_roots();
  turn();
}

void Service::look_at_roots() {
  look_timer_.arm(options_.look_every);
  if (!bundle_.look_at_file(read_bounded(options_.root_file, model::kMaxChainBytes))) return;
  roots_have_changed();
  turn();
}

// The proxies first: they believe a new root before the first certificate that leads to it is asked for.
void Service::roots_have_changed() {
  publisher_.set_trust_bundle(bundle_.generation(), bundle_.roots()->pem());
  desk_.set_roots(bundle_.roots(), bundle_.source() == TrustBundle::Source::kFile);
}

void Service::turn() {
  turn_timer_.arm(desk_.turn());
}

void Service::want(const model::Snapshot& snapshot) {
  desk_.set_wanted(identities_of(snapshot));
  turn();
}

void Service::take_answer(uint64_t ask, const base::Result<Answer>& answer) {
  if (bundle_.take_answer(desk_.take_answer(ask, answer))) roots_have_changed();
  turn();
}

void Service::on_keyless_proxy(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    desk_.add_proxy(proxy);
    turn();
  });
}

void Service::on_lost_proxy(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    desk_.remove_proxy(proxy);
    turn();
  });
}

void Service::on_certificate_request(publish::ProxyId proxy, const model::CertificateRequest& request) {
  loop_.post([this, proxy, request] {
    desk_.take_request(proxy, request);
    turn();
  });
}

void Service::on_identity_needed(publish::ProxyId proxy, const model::SpiffeId& identity) {
  loop_.post([this, proxy, identity] {
    desk_.need(proxy, identity);
    turn();
  });
}

void Service::want_key(publish::ProxyId proxy, const model::KeyWanted& wanted) {
  publisher_.want_key(proxy, wanted);
}

void Service::give_certificate(publish::ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id,
                               std::string pem) {
  publisher_.give_certificate(proxy, identity, key_id, std::move(pem));
}

void Service::tell_failure(publish::ProxyId proxy, const model::CertificateFailed& failed) {
  publisher_.tell_failure(proxy, failed);
}

void Service::forget_identity(publish::ProxyId proxy, const model::SpiffeId& identity) {
  publisher_.forget_identity(proxy, identity);
}

}  // namespace weft::certs
