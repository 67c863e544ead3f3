// What check found, for people and for programs.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/install/check.h"
#include "agent/objects/node.h"

namespace weft::install {
namespace {

using objects::Node;

size_t count(const std::vector<Check>& checks, Verdict verdict) {
  return static_cast<size_t>(std::ranges::count(checks, verdict, &Check::verdict));
}

// Told apart without colours.
std::string_view symbol_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok  ";
    case Verdict::kWarning:
      return "warn";
    case Verdict::kError:
      return "FAIL";
    case Verdict::kSkipped:
      return "skip";
  }
  return "";
}

Node one(const Check& check) {
  Node node = Node::mapping();
  node.set("id", Node::string(check.id));
  node.set("description", Node::string(check.text));
  node.set("result", Node::string(std::string(name_of(check.verdict))));
  if (!check.reason.empty()) node.set("error", Node::string(check.reason));
  if (!check.hint.empty()) node.set("hint", Node::string(check.hint));
  node.set("elapsedMs", Node::integer(check.milliseconds));
  return node;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kError:
      return "error";
    case Verdict::kSkipped:
      return "skipped";
  }
  return "";
}

int exit_code_of(const std::vector<Check>& checks, bool strict) {
  if (count(checks, Verdict::kError) > 0) return 1;
  return strict && count(checks, Verdict::kOk) < checks.size() ? 2 : 0;
}

std::string checks_text(const std::vector<Check>& checks) {
  std::string out, section;
  for (const Check& check : checks) {
    if (check.section != section) out += fmt::format("{}{}\n", section.empty() ? "" : "\n", check.section);
    section = check.section;
    out += fmt::format("  {}  {:<22} {} ({} ms)\n", symbol_of(check.verdict), check.id, check.text, check.milliseconds);
    if (!check.reason.empty()) out += fmt::format("          {}\n", check.reason);
    if (!check.hint.empty()) out += fmt::format("          next: {}\n", check.hint);
  }
  const size_t errors = count(checks, Verdict::kError), warnings = count(checks, Verdict::kWarning),
               skipped = count(checks, Verdict::kSkipped);
  return out + fmt::format("\n{} checks: {} ok, {} warnings, {} errors, {} skipped\n", checks.size(),
                           count(checks, Verdict::kOk), warnings, errors, skipped);
}

std::string checks_json(const std::vector<Check>& checks) {
  Node root = Node::mapping(), categories = Node::sequence();
  root.set("schema", Node::string("weft.check/v1"));
  root.set("success", Node::boolean(count(checks, Verdict::kError) == 0));
  for (size_t i = 0; i < checks.size();) {
    Node category = Node::mapping();
    category.set("name", Node::string(checks[i].section));
    const std::string& section = checks[i].section;
    for (; i < checks.size() && checks[i].section == section; ++i) category["checks"].append(one(checks[i]));
    categories.append(std::move(category));
  }
  root.set("categories", std::move(categories));
  return objects::to_json(root) + "\n";
}

}  // namespace weft::install
