#include "agent/state/status_book.h"

#include <algorithm>
#include <iterator>

#include "agent/state/policy_statuses.h"
#include "agent/state/statuses.h"

namespace weft::state {
namespace {

using Statuses = std::map<StatusKey, ObjectStatus>;

void add(std::vector<ObjectStatus> from, Statuses& to) {
  for (ObjectStatus& status : from) {
    StatusKey key = status.key;
    to.emplace(std::move(key), std::move(status));
  }
}

ObjectStatus& status_at(const StatusKey& key, Statuses& statuses) {
  ObjectStatus& out = statuses[key];
  out.key = key;
  return out;
}

// Fields that are read but have no effect yet, named one by one.
void add_unsupported(ObjectStatus& status, const std::vector<objects::Finding>& findings) {
  std::string fields;
  for (const objects::Finding& finding : findings) {
    if (finding.code != "UnsupportedField" && finding.code != "UnsupportedValue") continue;
    if (fields.find(finding.path) != std::string::npos) continue;
    fields += (fields.empty() ? "" : ", ") + finding.path;
  }
  if (fields.empty()) return;
  const std::string message = "not supported yet and without effect: " + fields;
  const auto there = std::ranges::find(status.conditions, "PartiallyInvalid", &objects::Condition::type);
  if (there == status.conditions.end()) {
    status.conditions.push_back(condition("PartiallyInvalid", true, "UnsupportedField", message));
    return;
  }
  there->reason = "UnsupportedField";
  there->message += "; " + message;
}

bool is_policy(objects::Kind kind) {
  return kind == objects::Kind::kPeerAuthentication || kind == objects::Kind::kAuthorizationPolicy;
}

void refuse(ObjectStatus& status, const objects::Finding& finding) {
  const auto closed = std::ranges::find(status.conditions, "FailClosed", &objects::Condition::reason);
  const bool closes = closed != status.conditions.end(), in_force = !status.conditions.empty();
  const std::string consequence = closes     ? "; until it is mended, " + closed->message
                                  : in_force ? "; the last good form stays in force"
                                             : "; it has no effect";
  std::erase_if(status.conditions, [](const objects::Condition& c) { return c.type == "Accepted"; });
  status.conditions.insert(status.conditions.begin(), condition("Accepted", false, "Refused",
                                                                objects::to_string(finding) + consequence));
}

void add_refusal(ObjectStatus& status, const objects::Finding& finding) {
  const bool first =
      std::ranges::none_of(status.conditions, [](const auto& c) { return c.reason == "Refused"; });
  if (finding.severity == objects::Severity::kError && first) refuse(status, finding);
  status.findings.push_back(finding);
}

// lint: table
const objects::Object* find_object(const Store& store, const objects::ObjectKey& key) {
  const auto in = [&](const auto& objects, const Key& at) -> const objects::Object* {
    const auto found = objects.find(at);
    return found == objects.end() ? nullptr : found->second.get();
  };
  using objects::Kind;
  switch (key.kind) {
    case Kind::kNamespace:
      return in(store.namespaces, {"", key.name});
    case Kind::kPod:
      return in(store.pods, {key.ns, key.name});
    case Kind::kService:
      return in(store.services, {key.ns, key.name});
    case Kind::kGateway:
      return in(store.gateways, {key.ns, key.name});
    case Kind::kVirtualService:
      return in(store.virtual_services, {key.ns, key.name});
    case Kind::kDestinationRule:
      return in(store.destination_rules, {key.ns, key.name});
    case Kind::kPeerAuthentication:
      return in(store.peer_authentications, {key.ns, key.name});
    case Kind::kAuthorizationPolicy:
      return in(store.authorization_policies, {key.ns, key.name});
    case Kind::kCaptureExclusion:
      return in(store.capture_exclusions, {key.ns, key.name});
    case Kind::kNode:
    case Kind::kEndpointSlice:
    case Kind::kServiceAccount:
    case Kind::kDeployment:
      break;
  }
  return nullptr;
}

}  // namespace

void StatusBook::set_findings(const objects::ObjectKey& key, std::vector<objects::Finding> findings) {
  if (findings.empty()) {
    findings_.erase(key);
    return;
  }
  findings_[key] = std::move(findings);
}

void StatusBook::set_file_findings(const std::string& file, std::vector<objects::Finding> findings) {
  if (findings.empty()) {
    file_findings_.erase(file);
    return;
  }
  file_findings_[file] = std::move(findings);
}

void StatusBook::set_object_findings(watch::ObjectFindings findings) {
  if (findings.findings.empty()) {
    object_findings_.erase(findings.key);
    return;
  }
  const objects::ObjectKey key = findings.key;
  object_findings_[key] = std::move(findings);
}

bool StatusBook::set_snapshot_problem(const std::string& problem) {
  const bool news = problem != snapshot_problem_;
  snapshot_problem_ = problem;
  return news;
}

void StatusBook::add_accepted_findings(const Store& store, Statuses& statuses) const {
  for (const auto& [key, findings] : findings_) {
    ObjectStatus& status = status_at(status_key(key), statuses);
    if (const objects::Object* object = find_object(store, key)) {
      status.file = object->file;
      status.generation = object->meta.generation;
      status.api_version = object->api_version;
      status.uid = object->meta.uid;
    }
    status.findings.insert(status.findings.end(), findings.begin(), findings.end());
    if (is_policy(key.kind)) {
      add_unsupported_policy(status, findings);
    } else {
      add_unsupported(status, findings);
    }
  }
}

void StatusBook::add_refusals(Statuses& statuses) const {
  for (const auto& [file, findings] : file_findings_) {
    for (const objects::Finding& finding : findings) {
      const StatusKey key = finding.object ? status_key(*finding.object) : StatusKey{"File", "", file};
      ObjectStatus& status = status_at(key, statuses);
      if (status.file.empty()) status.file = file;
      add_refusal(status, finding);
    }
  }
  for (const auto& [key, refused] : object_findings_) {
    ObjectStatus& status = status_at(status_key(key), statuses);
    status.generation = refused.generation;
    status.api_version = refused.api_version;
    status.uid = refused.uid;
    for (const objects::Finding& finding : refused.findings) add_refusal(status, finding);
  }
}

void StatusBook::update(const Store& store, const Pods& pods, const Layout& layout,
                        const StateOptions& options, Build& out) {
  Statuses now;
  add(virtual_service_statuses(store, layout, options), now);
  add(gateway_statuses(store, layout, options), now);
  add(destination_rule_statuses(store, layout, options), now);
  if (options.role == model::Role::kNode) {
    add(enrolment_statuses(pods), now);
    add(policy_statuses(store, pods.policies(), options), now);
    add(exclusion_statuses(store, pods.exclusions(), options), now);
    add_accepted_findings(store, now);
    add_refusals(now);
  }
  if (!snapshot_problem_.empty()) {
    const std::string whose = options.role == model::Role::kNode ? options.node : options.pod;
    status_at({"Snapshot", options.ns, whose}, now)
        .conditions.push_back(condition(
            "Accepted", false, "Invalid",
            snapshot_problem_ + "; the last good configuration stays in force, correct the object"));
  }
  for (const auto& [key, status] : now) {
    const auto before = last_.find(key);
    if (before == last_.end() || !(before->second == status)) out.statuses.push_back(status);
  }
  for (const auto& [key, status] : last_)
    if (!now.contains(key)) out.removed.push_back(key);
  last_ = std::move(now);
}

}  // namespace weft::state
