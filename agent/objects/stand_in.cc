#include "agent/objects/stand_in.h"

#include <algorithm>
#include <string_view>

#include "agent/objects/read.h"
#include "agent/objects/security.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr std::string_view kPolicyFields[] = {"selector", "targetRef", "targetRefs", "action", "provider", "rules"};

// Empty, which means everything, unless every word of it can be read.
Labels readable_selector(const Node& spec) {
  const Node& selector = get(spec, "selector");
  if (selector.entries().size() != 1) return {};
  const Node& labels = get(selector, "matchLabels");
  const bool good = std::ranges::all_of(labels.entries(), [](const Node::Entry& entry) {
    return entry.value.is_string() && is_label_key(entry.key) && is_label_value(entry.value.as_string());
  });
  return good ? string_map(selector, "matchLabels") : Labels{};
}

// A field nobody knows may be a misspelt "action".
bool is_plainly_allow(const Node& spec) {
  if (!spec.is_mapping()) return false;
  if (has(spec, "action")) return get(spec, "action").as_string() == "ALLOW";
  return std::ranges::all_of(spec.entries(), [](const Node::Entry& entry) {
    return std::ranges::find(kPolicyFields, entry.key) != std::end(kPolicyFields);
  });
}

}  // namespace

std::shared_ptr<Object> stand_in_peer_authentication(const Node& root) {
  auto out = std::make_shared<PeerAuthentication>();
  out->selector = readable_selector(get(root, "spec"));
  out->mode = MtlsMode::kStrict;
  return out;
}

std::shared_ptr<Object> stand_in_authorization_policy(const Node& root) {
  auto out = std::make_shared<AuthorizationPolicy>();
  const Node& spec = get(root, "spec");
  out->selector = readable_selector(spec);
  out->has_targets = !has(spec, "selector") && (has(spec, "targetRefs") || has(spec, "targetRef"));
  out->dry_run = root.at({"metadata", "annotations", "istio.io/dry-run"}).as_string() == "true";
  if (is_plainly_allow(spec)) return out;
  out->action = AuthorizationPolicy::Action::kDeny;
  out->rules.push_back({.mark = root.mark()});
  return out;
}

}  // namespace weft::objects
