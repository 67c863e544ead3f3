#include "agent/state/state.h"

#include <variant>

#include "agent/state/endpoints.h"
#include "agent/state/layout.h"
#include "agent/state/pods.h"
#include "agent/state/status_book.h"
#include "agent/state/store.h"
#include "userspace-proxy/model/codec.h"

namespace weft::state {
namespace {

// Equal apart from the version.
bool same_content(const model::Snapshot& a, const model::Snapshot& b) {
  return a.role == b.role && a.node == b.node && a.settings == b.settings && a.self == b.self &&
         a.workloads == b.workloads && a.services == b.services && a.clusters == b.clusters &&
         a.route_tables == b.route_tables && a.gateway_listeners == b.gateway_listeners &&
         a.local_pods == b.local_pods && a.policy_rules == b.policy_rules;
}

}  // namespace

class State::Impl {
 public:
  explicit Impl(StateOptions options) : options_(std::move(options)) {}

  void fold(const watch::Event& event) {
    std::visit([this](const auto& e) { take(e); }, event);
    dirty_ = true;
    // Endpoints come and go without a word to any object.
    const auto* upsert = std::get_if<watch::Upsert>(&event);
    talk_ |= !upsert || upsert->key.kind != objects::Kind::kEndpointSlice || !upsert->findings.empty();
  }

  void set_settings(const model::Settings& settings) {
    if (settings == options_.settings) return;
    options_.settings = settings;
    dirty_ = true;
  }

  void set_closed_ports(ClosedPorts ports) {
    if (ports == options_.closed_ports) return;
    options_.closed_ports = std::move(ports);
    dirty_ = talk_ = true;
  }

  void set_sandboxes(SandboxFacts facts) {
    if (facts == store_.sandboxes) return;
    store_.set_sandboxes(std::move(facts));
    dirty_ = true;
  }

  [[nodiscard]] std::optional<Enrolment> enrolment_of(const std::string& ns, const std::string& name,
                                                      const std::string& uid) const {
    const auto found = pods_.pods().find({ns, name});
    if (found == pods_.pods().end() || found->second.ns == nullptr) return std::nullopt;
    const objects::Metadata& meta = found->second.pod->meta;
    const auto mirror = meta.annotations.find("kubernetes.io/config.mirror");
    const bool is_it = meta.uid == uid || (mirror != meta.annotations.end() && mirror->second == uid);
    return is_it ? std::optional(found->second.enrolment) : std::nullopt;
  }

  [[nodiscard]] std::optional<Enrolment> enrolment_of_namespace(const std::string& ns) const {
    const auto found = pods_.namespaces().find(ns);
    return found == pods_.namespaces().end() ? std::nullopt : std::optional(found->second.enrolment);
  }

  [[nodiscard]] bool synced() const { return synced_; }

  Build build() {
    Build out{.snapshot = last_, .sandboxes = pods_.sandboxes(), .node_pods = pods_.node_pods()};
    if (!dirty_ && last_) return out;
    refresh();
    model::Snapshot next = assemble();
    out.sandboxes = pods_.sandboxes();
    out.node_pods = pods_.node_pods();
    out.changed = !last_ || !same_content(*last_, next);
    if (out.changed) {
      publish(std::move(next), out);
    } else {
      talk_ |= book_.set_snapshot_problem("");
    }
    out.snapshot = last_;
    if (talk_) book_.update(store_, pods_, layout_, options_, out);
    dirty_ = talk_ = false;
    return out;
  }

 private:
  void take(const watch::Upsert& upsert) {
    if (!upsert.object) return;
    store_.upsert(upsert.object);
    note_self(upsert.key);
    book_.set_findings(upsert.key, upsert.findings);
  }
  void take(const watch::Remove& remove) {
    store_.remove(remove.key);
    note_self(remove.key);
    book_.set_findings(remove.key, {});
    book_.set_object_findings({.key = remove.key});
  }
  void take(const watch::FileFindings& findings) {
    book_.set_file_findings(findings.file, findings.findings);
  }
  void take(const watch::ObjectFindings& findings) { book_.set_object_findings(findings); }
  void take(const watch::Synced&) { synced_ = true; }

  // A Snapshot that the data plane would refuse is not handed out: the last good one stays, and a status says
  // so.
  void publish(model::Snapshot next, Build& out) {
    const base::Status valid = model::validate(next);
    talk_ |= book_.set_snapshot_problem(valid ? "" : valid.error().what);
    if (!valid && last_) {
      out.changed = false;
      return;
    }
    if (!valid) next = {.role = options_.role, .node = options_.node, .settings = options_.settings};
    next.version = last_ ? last_->version + 1 : 1;
    last_ = std::make_shared<const model::Snapshot>(std::move(next));
  }

  // Gateways select the gateway's pod by its labels; no other pod has a say in the layout.
  void note_self(const objects::ObjectKey& key) {
    const bool self = options_.role == model::Role::kGateway && key.kind == objects::Kind::kPod &&
                      key.ns == options_.ns && key.name == options_.pod;
    // Role control speaks for every gateway, whichever pod is one.
    store_.dirty.layout |= self || (options_.whole_cluster && key.kind == objects::Kind::kPod);
  }

  void refresh() {
    if (store_.dirty.pods) {
      pods_.refresh(store_, options_);
      index_.assign(pods_.workloads());
    }
    if (store_.dirty.layout) layout_ = make_layout(store_, options_);
    for (const Key& key : store_.dirty.endpoints) refresh_endpoints(key);
    store_.dirty = {.layout = false, .pods = false};
  }

  void refresh_endpoints(const Key& key) {
    const auto service = store_.services.find(key);
    const auto slices = store_.slices.find(key);
    if (service == store_.services.end() || slices == store_.slices.end()) {
      ready_.erase(key);
      return;
    }
    ready_[key] = ready_endpoints(*service->second, slices->second);
  }

  [[nodiscard]] model::Snapshot assemble() const {
    model::Snapshot out;
    out.role = options_.role;
    out.node = options_.node;
    out.settings = options_.settings;
    out.workloads = pods_.workloads();
    out.services = layout_.services;
    out.clusters = layout_.clusters;
    for (size_t i = 0; i < out.clusters.size(); ++i) {
      const auto ready = ready_.find(layout_.plans[i].service);
      if (ready == ready_.end()) continue;
      out.clusters[i].endpoints =
          select(ready->second[layout_.plans[i].port], layout_.plans[i], index_, pods_.labels());
    }
    out.route_tables = layout_.route_tables;
    out.gateway_listeners = layout_.listeners;
    out.self = pods_.self();
    out.local_pods = pods_.local_pods();
    out.policy_rules = pods_.policy_rules();
    return out;
  }

  StateOptions options_;
  Store store_;
  Pods pods_;
  PodIndex index_;
  Layout layout_;
  std::map<Key, ReadyByPort> ready_;  // of services that have EndpointSlices
  StatusBook book_;
  model::SnapshotPtr last_;
  bool dirty_ = true;
  bool talk_ = true;  // some status may have changed
  bool synced_ = false;
};

State::State(StateOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
State::~State() = default;

void State::fold(const watch::Event& event) {
  impl_->fold(event);
}

void State::fold(const std::vector<watch::Event>& events) {
  for (const watch::Event& event : events) impl_->fold(event);
}

void State::set_settings(const model::Settings& settings) {
  impl_->set_settings(settings);
}

void State::set_closed_ports(ClosedPorts ports) {
  impl_->set_closed_ports(std::move(ports));
}

void State::set_sandboxes(SandboxFacts facts) {
  impl_->set_sandboxes(std::move(facts));
}

std::optional<Enrolment> State::enrolment_of(const std::string& ns, const std::string& name,
                                             const std::string& uid) const {
  return impl_->enrolment_of(ns, name, uid);
}

std::optional<Enrolment> State::enrolment_of_namespace(const std::string& ns) const {
  return impl_->enrolment_of_namespace(ns);
}

bool State::synced() const {
  return impl_->synced();
}

Build State::build() {
  return impl_->build();
}

}  // namespace weft::state
