#include "agent/state/status.h"

#include "agent/objects/node.h"

namespace weft::state {
namespace {

using objects::Node;

Node condition_node(const objects::Condition& condition) {
  Node out = Node::mapping();
  out.set("type", Node::string(condition.type));
  out.set("status", Node::string(condition.status));
  out.set("reason", Node::string(condition.reason));
  out.set("message", Node::string(condition.message));
  return out;
}

Node finding_node(const objects::Finding& finding) {
  Node out = Node::mapping();
  out.set("severity", Node::string(finding.severity == objects::Severity::kError ? "error" : "warning"));
  out.set("code", Node::string(finding.code));
  out.set("file", Node::string(finding.file));
  out.set("line", Node::integer(finding.line));
  out.set("column", Node::integer(finding.column));
  out.set("path", Node::string(finding.path));
  out.set("message", Node::string(finding.message));
  return out;
}

}  // namespace

StatusKey status_key(const objects::ObjectKey& key) {
  return {std::string(objects::name_of(key.kind)), key.ns, key.name};
}

std::string to_json(const ObjectStatus& status, const std::string& writer) {
  Node out = Node::mapping();
  out.set("schema", Node::string("weft.mesh/status/v1"));
  out.set("kind", Node::string(status.key.kind));
  out.set("namespace", Node::string(status.key.ns));
  out.set("name", Node::string(status.key.name));
  out.set("writer", Node::string(writer));
  out.set("observedGeneration", Node::integer(status.generation));
  out.set("file", Node::string(status.file));
  Node conditions = Node::sequence();
  for (const objects::Condition& condition : status.conditions) conditions.append(condition_node(condition));
  out.set("conditions", std::move(conditions));
  Node findings = Node::sequence();
  for (const objects::Finding& finding : status.findings) findings.append(finding_node(finding));
  out.set("findings", std::move(findings));
  return objects::to_json(out) + "\n";
}

}  // namespace weft::state
