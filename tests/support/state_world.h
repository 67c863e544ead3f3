#pragma once
// A State with hands: put objects, drop them, look at the Snapshot and at what objects are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/state/state.h"
#include "tests/support/asked.h"
#include "tests/support/object_builders.h"
#include "userspace-proxy/model/codec.h"

namespace weft::test {

inline state::StateOptions node_options(const std::string& node = "node-1") {
  state::StateOptions out;
  out.node = node;
  return out;
}

inline state::StateOptions gateway_options(const std::string& ns = "istio-system",
                                           const std::string& pod = "gw") {
  state::StateOptions out;
  out.role = model::Role::kGateway;
  out.ns = ns;
  out.pod = pod;
  return out;
}

class World {
 public:
  explicit World(state::StateOptions options = node_options()) : state_(std::move(options)) {}

  World& put(objects::ObjectPtr object, std::vector<objects::Finding> findings = {}) {
    state_.fold(watch::Upsert{objects::key_of(*object), object, std::move(findings)});
    return *this;
  }
  World& drop(objects::Kind kind, const std::string& ns, const std::string& name) {
    state_.fold(watch::Remove{{kind, ns, name}});
    return *this;
  }
  state::State& state() { return state_; }

  // Builds, remembers statuses, and holds the Snapshot to what the data plane asks of one.
  const model::Snapshot& look() {
    state::Build build = state_.build();
    for (const state::StatusKey& key : build.removed) statuses_.erase(key);
    for (const state::ObjectStatus& status : build.statuses) statuses_[status.key] = status;
    snapshot_ = build.snapshot;
    sandboxes_ = build.sandboxes;
    node_pods_ = build.node_pods;
    changed_ = build.changed;
    EXPECT_EQ(snapshot_->local_pods.size(), sandboxes_.size());
    const auto valid = model::validate(*snapshot_);
    EXPECT_TRUE(valid.has_value()) << (valid ? "" : base::describe(valid.error()));
    return *snapshot_;
  }

  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] const std::vector<state::PodSandbox>& sandboxes() const { return sandboxes_; }
  [[nodiscard]] const std::vector<state::NodePod>& node_pods() const { return node_pods_; }
  [[nodiscard]] const std::map<state::StatusKey, state::ObjectStatus>& statuses() const { return statuses_; }

  [[nodiscard]] const state::ObjectStatus* status(const std::string& kind, const std::string& ns,
                                                  const std::string& name) const {
    const auto found = statuses_.find({kind, ns, name});
    return found == statuses_.end() ? nullptr : &found->second;
  }
  // "True Accepted: text"; "" if there is no such condition.
  [[nodiscard]] std::string said(const std::string& kind, const std::string& ns, const std::string& name,
                                 const std::string& type) const {
    const state::ObjectStatus* object = status(kind, ns, name);
    if (!object) return "";
    const auto found = std::ranges::find(object->conditions, type, &objects::Condition::type);
    if (found == object->conditions.end()) return "";
    return found->status + " " + found->reason + ": " + found->message;
  }

  // Answers of the route table that a call to a Service's port meets; "direct" if it meets none.
  std::string mesh(const std::string& ns, const std::string& name, uint16_t port, const Request& request) {
    const model::Snapshot& now = look();
    for (const model::Service& service : now.services) {
      if (service.ns != ns || service.name != name) continue;
      for (const model::ServicePort& candidate : service.ports) {
        if (candidate.port != port) continue;
        return candidate.route_table == model::kNone
                   ? "direct"
                   : ask(now, now.route_tables[candidate.route_table], request);
      }
    }
    return "no such port";
  }
  // The same at a gateway's port (the Service's number); "closed" if nothing listens.
  std::string gateway(uint16_t port, const Request& request) {
    const model::Snapshot& now = look();
    for (const model::GatewayListener& listener : now.gateway_listeners)
      if (listener.service_port == port) return ask(now, now.route_tables[listener.route_table], request);
    return "closed";
  }

  [[nodiscard]] const model::Workload* workload(const std::string& ns, const std::string& name) const {
    const auto found = std::ranges::find_if(snapshot_->workloads,
                                            [&](const auto& w) { return w.ns == ns && w.name == name; });
    return found == snapshot_->workloads.end() ? nullptr : &*found;
  }
  [[nodiscard]] const model::Service* service(const std::string& ns, const std::string& name) const {
    const auto found = std::ranges::find_if(snapshot_->services,
                                            [&](const auto& s) { return s.ns == ns && s.name == name; });
    return found == snapshot_->services.end() ? nullptr : &*found;
  }
  [[nodiscard]] const model::Cluster* cluster(const std::string& name) const {
    const auto found = std::ranges::find(snapshot_->clusters, name, &model::Cluster::name);
    return found == snapshot_->clusters.end() ? nullptr : &*found;
  }

 private:
  state::State state_;
  model::SnapshotPtr snapshot_;
  std::vector<state::PodSandbox> sandboxes_;
  std::vector<state::NodePod> node_pods_;
  std::map<state::StatusKey, state::ObjectStatus> statuses_;
  bool changed_ = false;
};

}  // namespace weft::test
