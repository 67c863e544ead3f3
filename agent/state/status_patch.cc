#include "agent/state/status_patch.h"

#include <algorithm>
#include <string>

#include "agent/objects/kinds.h"

namespace weft::state {
namespace {

using objects::Node;

constexpr size_t kMaxMessages = 20;    // of validationMessages: enough for a reader
constexpr size_t kMaxMessage = 4096;   // bytes of a condition's message

// Cut at a character's beginning.
std::string cut(const std::string& text) {
  if (text.size() <= kMaxMessage) return text;
  size_t end = kMaxMessage;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

const Node* find_condition(const Node& conditions, const std::string& type) {
  const auto& items = conditions.items();
  const auto found = std::ranges::find_if(items, [&](const Node& item) { return item.at({"type"}).as_string() == type; });
  return found == items.end() ? nullptr : &*found;
}

Node condition_node(const objects::Condition& condition, int64_t generation, const Node& before, objects::Time now) {
  const Node* const old = find_condition(before, condition.type);
  const bool as_before = old && old->at({"status"}).as_string() == condition.status &&
                         objects::parse_time(old->at({"lastTransitionTime"}).as_string());
  Node out = Node::mapping();
  out.set("type", Node::string(condition.type));
  out.set("status", Node::string(condition.status));
  out.set("observedGeneration", Node::integer(generation));
  out.set("lastTransitionTime",
          Node::string(as_before ? old->at({"lastTransitionTime"}).as_string() : objects::to_string(now)));
  out.set("reason", Node::string(condition.reason));
  out.set("message", Node::string(cut(condition.message)));
  return out;
}

Node message_node(const objects::Finding& finding) {
  Node type = Node::mapping();
  type.set("name", Node::string(finding.path));
  type.set("code", Node::string(finding.code));
  Node out = Node::mapping();
  out.set("type", std::move(type));
  out.set("level", Node::string(finding.severity == objects::Severity::kError ? "ERROR" : "WARNING"));
  out.set("message", Node::string(finding.message));
  return out;
}

// Istio's own CRDs keep of a message its type and level.
bool same_messages(const Node& wanted, const Node& there) {
  return std::ranges::equal(wanted.items(), there.items(), [](const Node& a, const Node& b) {
    return a.at({"level"}) == b.at({"level"}) && a.at({"type", "code"}) == b.at({"type", "code"}) &&
           a.at({"type", "name"}) == b.at({"type", "name"}) &&
           (b.at({"message"}).is_null() || a.at({"message"}) == b.at({"message"}));
  });
}

// Integers of 64 bits may come back as text.
bool same_number(const Node& wanted, const Node& there) {
  return wanted == there || (there.is_string() && there.as_string() == std::to_string(wanted.as_int()));
}

bool same_conditions(const Node& wanted, const Node& there) {
  return std::ranges::equal(wanted.items(), there.items(), [](const Node& a, const Node& b) {
    for (const char* field : {"type", "status", "lastTransitionTime", "reason", "message"})
      if (!(a.at({field}) == b.at({field}))) return false;
    return same_number(a.at({"observedGeneration"}), b.at({"observedGeneration"}));
  });
}

bool says_all(const Node& there, const Node& wanted) {
  return same_number(wanted.at({"observedGeneration"}), there.at({"observedGeneration"})) &&
         same_conditions(wanted.at({"conditions"}), there.at({"conditions"})) &&
         same_messages(wanted.at({"validationMessages"}), there.at({"validationMessages"}));
}

}  // namespace

bool has_own_status(std::string_view kind) {
  const auto found = std::ranges::find(objects::all_kinds(), kind, &objects::KindTraits::name);
  return found != objects::all_kinds().end() && !objects::is_of_kubernetes(*found);
}

std::optional<Node> status_patch(const ObjectStatus& status, const Node& current, objects::Time now) {
  Node conditions = Node::sequence();
  for (const objects::Condition& condition : status.conditions)
    conditions.append(condition_node(condition, status.generation, current.at({"status", "conditions"}), now));
  Node messages = Node::sequence();
  for (size_t i = 0; i < std::min(status.findings.size(), kMaxMessages); ++i)
    messages.append(message_node(status.findings[i]));
  Node wanted = Node::mapping();
  wanted.set("observedGeneration", Node::integer(status.generation));
  wanted.set("conditions", std::move(conditions));
  wanted.set("validationMessages", std::move(messages));
  if (says_all(current.at({"status"}), wanted)) return std::nullopt;
  Node metadata = Node::mapping();
  metadata.set("name", Node::string(status.key.name));
  metadata.set("namespace", Node::string(status.key.ns));
  metadata.set("uid", Node::string(status.uid));
  Node out = Node::mapping();
  out.set("apiVersion", Node::string(status.api_version));
  out.set("kind", Node::string(status.key.kind));
  out.set("metadata", std::move(metadata));
  out.set("status", std::move(wanted));
  return out;
}

}  // namespace weft::state
