#include "userspace-proxy/policy/judge.h"

#include <fmt/format.h>

namespace weft::policy {
namespace {

std::string named(const model::PolicyRule* rule) {
  return rule == nullptr ? "" : fmt::format("rule {} ({})", rule->id, rule->source);
}

std::string what_decided(const Verdict& verdict) {
  switch (verdict.reason) {
    case Verdict::Reason::kNoRules:
      return "no rule";
    case Verdict::Reason::kAllowed:
      return verdict.rule == nullptr ? "no DENY rule matches" : named(verdict.rule);
    case Verdict::Reason::kDenied:
      return named(verdict.rule);
    case Verdict::Reason::kNotAllowed:
      return "no ALLOW rule matches, the first is " + named(verdict.rule);
    case Verdict::Reason::kStrictAnonymous:
      return fmt::format("STRICT{}{}{} and the peer has no proven identity", verdict.mode_source.empty() ? "" : " (",
                         verdict.mode_source, verdict.mode_source.empty() ? "" : ")");
  }
  return {};
}

}  // namespace

std::string describe(const Verdict& verdict) {
  std::string out = what_decided(verdict);
  if (!verdict.would_deny || verdict.dry_run == nullptr) return out;
  return out + (verdict.dry_run->deny ? "; dry run: denied by " : "; dry run: no ALLOW rule matches, the first is ") +
         named(verdict.dry_run);
}

}  // namespace weft::policy
