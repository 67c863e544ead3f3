#include "agent/state/policy_statuses.h"

#include <set>

#include "agent/state/statuses.h"

namespace weft::state {
namespace {

using objects::AuthorizationPolicy;
using objects::PeerAuthentication;

constexpr size_t kMaxNamed = 10;

// Whose pods a reach counts: a node's, or the cluster's.
enum class Scope : uint8_t { kNode, kCluster };

std::string pods_text(const PolicyReach& reach, Scope scope) {
  const bool node = scope == Scope::kNode;
  std::string out = std::to_string(reach.enrolled) + (node ? " of " : "/") + std::to_string(reach.selected) +
                    " pods that it selects" + (node ? " on this node" : "");
  if (reach.enrolled < reach.selected) out += node ? "; the others are not enrolled" : "; the others are not captured";
  return out;
}

void add_enforced_in_cluster(const PolicyReach& reach, ObjectStatus& out) {
  const bool all = reach.selected > 0 && reach.enrolled == reach.selected;
  const char* const reason = reach.selected == 0    ? "NoMatchingPods"
                             : reach.enrolled == 0  ? "NotEnrolled"
                             : all                  ? "Enforced"
                                                    : "PartlyEnforced";
  out.conditions.push_back(condition("Enforced", all, reason, pods_text(reach, Scope::kCluster)));
}

// Every node agent speaks, and whoever reads them all keeps the worst word: a node without such pods says nothing here.
void add_enforced(const PolicyReach& reach, Scope scope, ObjectStatus& out) {
  if (scope == Scope::kCluster) return add_enforced_in_cluster(reach, out);
  if (reach.selected == 0) {
    out.conditions.back().message += "; it selects no pod of this node";
    return;
  }
  out.conditions.push_back(condition("Enforced", reach.enrolled > 0, reach.enrolled > 0 ? "Enforced" : "NotEnrolled",
                                     pods_text(reach, scope)));
}

// A form that was refused has its Accepted from the refusal.
void add_refused(const PolicyReach& reach, Scope scope, const std::string& what, ObjectStatus& out) {
  out.conditions.push_back(condition("Enforced", true, "FailClosed", what + " by " + pods_text(reach, scope)));
}

ObjectStatus status_of_policy(const AuthorizationPolicy& policy, const PolicyReach& reach, Scope scope) {
  using Action = AuthorizationPolicy::Action;
  ObjectStatus out = status_of(policy);
  if (policy.refused) {
    const bool allow = policy.action == Action::kAllow;
    add_refused(reach, scope, allow ? "whom no other ALLOW policy lets in is refused" : "everybody is refused", out);
    return out;
  }
  if (policy.has_targets || policy.action == Action::kAudit) {
    out.conditions.push_back(condition("Accepted", false, "UnsupportedValue",
                                       policy.has_targets ? "spec.targetRefs: policies for waypoints are not built"
                                                          : "spec.action: AUDIT is not built"));
    out.conditions.push_back(condition("Enforced", false, "UnsupportedValue", "it has no effect"));
    return out;
  }
  if (reach.too_large) {
    out.conditions.push_back(condition("Accepted", false, "TooLarge",
                                       "its rules do not fit beside the other policies of this node"));
    add_refused(reach, scope, policy.action == Action::kAllow ? "nobody is let in by it" : "everybody is refused", out);
    return out;
  }
  if (policy.action == Action::kCustom) {
    out.conditions.push_back(condition("Accepted", false, "UnsupportedValue",
                                       "spec.action: there is nobody to ask yet, what its rules match is refused"));
  } else {
    out.conditions.push_back(
        condition("Accepted", true, "Accepted",
                  policy.dry_run ? "a dry run: what it would refuse is only told" : "its rules are understood"));
  }
  add_enforced(reach, scope, out);
  return out;
}

ObjectStatus status_of_mode(const PeerAuthentication& object, const PolicyBook& book, Scope scope) {
  ObjectStatus out = status_of(object);
  if (!object.refused) {
    if (!book.modes().counts(object)) {
      out.conditions.push_back(
          condition("Accepted", false, "UnsupportedValue",
                    "spec.selector: in the root namespace only an object without selector counts"));
      out.conditions.push_back(condition("Enforced", false, "UnsupportedValue", "it has no effect"));
      return out;
    }
    out.conditions.push_back(condition("Accepted", true, "Accepted", "its modes are understood"));
  }
  if (object.refused) {
    add_refused(book.reach(object), scope, "peers without proven identity are refused", out);
  } else {
    add_enforced(book.reach(object), scope, out);
  }
  if (const PeerAuthentication* older = book.modes().older_than(object))
    out.conditions.push_back(condition("Shadowed", true, "OlderObject",
                                       objects::to_string(objects::key_of(*older)) + " is older and counts instead"));
  return out;
}

ObjectStatus status_of_exclusion(const objects::CaptureExclusion& object, const PolicyReach& reach, Scope scope) {
  ObjectStatus out = status_of(object);
  if (!object.problem.empty()) {
    out.conditions.push_back(condition("Accepted", false, "InvalidValue", object.problem));
    out.conditions.push_back(condition("Enforced", false, "InvalidValue", "it excludes nothing until it is mended"));
    return out;
  }
  out.conditions.push_back(condition("Accepted", true, "Accepted", "its ports and ranges are understood"));
  add_enforced(reach, scope, out);
  return out;
}

}  // namespace

std::vector<ObjectStatus> exclusion_statuses(const Store& store, const ExclusionBook& book, const StateOptions& options) {
  const Scope scope = options.whole_cluster ? Scope::kCluster : Scope::kNode;
  std::vector<ObjectStatus> out;
  for (const auto& [key, object] : store.capture_exclusions)
    out.push_back(status_of_exclusion(*object, book.reach(*object), scope));
  return out;
}

std::vector<ObjectStatus> policy_statuses(const Store& store, const PolicyBook& book, const StateOptions& options) {
  const Scope scope = options.whole_cluster ? Scope::kCluster : Scope::kNode;
  std::vector<ObjectStatus> out;
  for (const auto& [key, object] : store.authorization_policies)
    out.push_back(status_of_policy(*object, book.reach(*object), scope));
  for (const auto& [key, object] : store.peer_authentications) out.push_back(status_of_mode(*object, book, scope));
  return out;
}

void add_unsupported_policy(ObjectStatus& status, const std::vector<objects::Finding>& findings) {
  std::string text;
  std::set<std::string> named;
  for (const objects::Finding& finding : findings) {
    if (finding.code != "UnsupportedField" && finding.code != "UnsupportedValue") continue;
    if (!named.insert(finding.path).second) continue;
    if (named.size() > kMaxNamed) {
      text += "; and more";
      break;
    }
    text += (text.empty() ? "" : "; ") + finding.path + ": " + finding.message;
  }
  if (!text.empty()) status.conditions.push_back(condition("PartiallyInvalid", true, "UnsupportedValue", text));
}

}  // namespace weft::state
