#include "agent/certificates.h"

#include <algorithm>

#include "agent/certs/grpc_ca_client.h"
#include "agent/objects/object.h"
#include "agent/source.h"

namespace weft::agent {
namespace {

using objects::Node;

Node number(uint64_t value) {
  return Node::integer(static_cast<int64_t>(value));
}

Node time(base::WallTime when) {
  return Node::string(objects::to_string(std::chrono::floor<std::chrono::seconds>(when)));
}

Node identity_of(const certs::IdentityStatus& status) {
  Node out = Node::mapping();
  out.set("identity", Node::string(status.identity.to_string()));
  out.set("proxy", number(status.proxy));
  out.set("state", Node::string(std::string(certs::name_of(status.state))));
  out.set("underWay", Node::boolean(status.under_way));
  if (status.state == certs::State::kValid) {
    out.set("keyId", number(status.key_id));
    out.set("notBefore", time(status.not_before));
    out.set("notAfter", time(status.not_after));
    out.set("renewAt", time(status.renew_at));
  }
  if (!status.last_error.empty()) out.set("lastError", Node::string(status.last_error));
  out.set("requests", number(status.requests));
  out.set("failures", number(status.failures));
  return out;
}

Node bundle_of(const certs::TrustBundle& bundle) {
  Node out = Node::mapping();
  const bool file = bundle.source() == certs::TrustBundle::Source::kFile;
  out.set("source", Node::string(file ? "file" : "answers"));
  out.set("generation", number(bundle.generation()));
  if (bundle.roots() != nullptr) {
    out.set("roots", number(bundle.roots()->count()));
    out.set("fingerprint", Node::string(bundle.roots()->fingerprint()));
    out.set("firstExpiry", time(bundle.roots()->first_end()));
  }
  if (!bundle.problem().empty()) out.set("problem", Node::string(bundle.problem()));
  return out;
}

Node counters_of(const certs::DeskCounters& desk, const certs::BundleCounters& bundle) {
  Node out = Node::mapping();
  out.set("asked", number(desk.asked));
  out.set("issued", number(desk.issued));
  for (size_t i = 0; i < desk.ask_failures.size(); ++i)
    if (desk.ask_failures[i] != 0)
      out.set("ask_failed_" + std::string(base::name_of(static_cast<base::ErrorKind>(i))),
              number(desk.ask_failures[i]));
  for (size_t i = 0; i < certs::kRefusals; ++i)
    if (desk.answers_refused[i] != 0)
      out.set("answer_refused_" + std::string(certs::name_of(static_cast<certs::Refusal>(i))),
              number(desk.answers_refused[i]));
  out.set("answers_late", number(desk.answers_late));
  out.set("keys_late", number(desk.keys_late));
  out.set("requests_malformed", number(desk.requests_malformed));
  out.set("requests_foreign", number(desk.requests_foreign));
  out.set("requests_stale", number(desk.requests_stale));
  out.set("needs_foreign", number(desk.needs_foreign));
  out.set("expired", number(desk.expired));
  out.set("near_expiry", number(desk.near_expiry));
  out.set("forgotten", number(desk.forgotten));
  out.set("disbelieved", number(desk.disbelieved));
  out.set("bundle_changes", number(bundle.changes));
  out.set("bundle_refused", number(bundle.refused));
  out.set("bundle_left_out", number(bundle.left_out));
  return out;
}

// What connections through the newest proxy would miss; older ones only finish what they have.
void add_waiting(Report& report, const std::vector<certs::IdentityStatus>& identities) {
  constexpr size_t kNamed = 3;
  publish::ProxyId newest = 0;
  for (const auto& one : identities) newest = std::max(newest, one.proxy);
  size_t without = 0;
  for (const auto& one : identities) {
    if (one.proxy != newest || one.state == certs::State::kValid || ++without > kNamed) continue;
    const std::string why = one.last_error.empty() ? "" : ": " + one.last_error;
    report.waiting_for.push_back("a certificate for " + one.identity.to_string() + why);
  }
  if (without > kNamed)
    report.waiting_for.push_back("certificates for " + std::to_string(without - kNamed) + " identities more");
}

}  // namespace

Certificates::Certificates(base::Loop& loop, publish::Publisher& publisher, const Options& options) {
  const CaOptions& ca = options.ca;
  if (ca.address.empty()) return;
  certs::GrpcCaOptions client;
  address_ = std::make_shared<certs::CaAddress>(ca.address);
  client.address = address_;
  client.server_name = ca.name;
  client.token_file = ca.token_file;
  client.cluster = ca.cluster;
  client.validity_seconds = ca.validity_seconds;
  client.for_others = options.role == model::Role::kNode;
  service_ = std::make_unique<certs::Service>(loop, publisher, std::make_unique<certs::GrpcCaClient>(client),
                                              certs::ServiceOptions{.root_file = ca.root_file});
  service_->start();
}

base::Status Certificates::follow_roots(const Options& options, const base::Clock& clock) {
  if (!service_ || !behind_api_server(options) || options.ca.root_file.empty()) return {};
  TRY_ASSIGN(auto config, cluster_config(options));
  TRY_ASSIGN(reflectors_, kube::Reflectors::create(std::move(config), clock));
  roots_ = std::make_unique<mirror::ConfigMapFile>(
      mirror::ConfigMapKey{options.ns.empty() ? "weft-system" : options.ns, "weft-ca-root", "root-cert.pem"},
      options.ca.root_file);
  reflectors_->add(roots_->spec(), *roots_);
  reflectors_->start();
  return {};
}

void Certificates::want(const model::Snapshot& snapshot) {
  if (!service_) return;
  address_->learn(snapshot);
  service_->want(snapshot);
}

void Certificates::stop() {
  if (reflectors_) reflectors_->stop();
  if (service_) service_->stop();
}

void Certificates::describe(Report& report) const {
  if (!service_) return;
  const auto identities = service_->desk().status();
  add_waiting(report, identities);
  if (roots_ && !roots_->problem().empty()) report.waiting_for.push_back("the roots of the mesh: " + roots_->problem());
  Node list = Node::sequence();
  for (const auto& one : identities) list.append(identity_of(one));
  report.certificates = Node::mapping();
  report.certificates.set("identities", std::move(list));
  report.certificates.set("trustBundle", bundle_of(service_->bundle()));
  report.certificates.set("counters",
                          counters_of(service_->desk().counters(), service_->bundle().counters()));
}

}  // namespace weft::agent
