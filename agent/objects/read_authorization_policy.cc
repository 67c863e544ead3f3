#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/security.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

constexpr size_t kMaxRules = 512, kMaxFrom = 512, kMaxTargets = 16, kMaxAccounts = 16;  // as Istio
// Of one policy: far above what anybody writes, low enough that no policy can fill the node's configuration.
constexpr size_t kMaxValues = 16384, kMaxValueBytes = 512u << 10, kMaxValue = 1024;
constexpr const char* kHttpOnly[] = {"hosts",    "notHosts",          "methods",             "notMethods",  "paths",
                                     "notPaths", "requestPrincipals", "notRequestPrincipals"};

bool names_peers(const AuthorizationMatch& match) {
  return !match.principals.empty() || !match.namespaces.empty() || !match.service_accounts.empty();
}

bool excludes_peers(const AuthorizationMatch& match) {
  return !match.not_principals.empty() || !match.not_namespaces.empty() || !match.not_service_accounts.empty();
}

// Negative lists of identities are all that stands between an anonymous peer and this rule, and they let it pass.
bool excludes_in_vain(const AuthorizationRule& rule) {
  const auto passes = [](const AuthorizationMatch& match) { return !names_peers(match); };
  if (!rule.from.empty() && std::ranges::none_of(rule.from, passes)) return false;
  if (!std::ranges::all_of(rule.when, passes)) return false;
  return std::ranges::any_of(rule.when, excludes_peers) ||
         std::ranges::any_of(rule.from, [&](const auto& match) { return passes(match) && excludes_peers(match); });
}

// Reads the lists of one policy; what is wrong in them refuses the policy, what layer 4 cannot tell is reported.
class Reader {
 public:
  Reader(AuthorizationPolicy& policy, Report& report) : policy_(policy), report_(report) {}

  void rules(const Node& spec) {
    const Node& list = get(spec, "rules");
    bound("spec.rules", list, kMaxRules);
    using Action = AuthorizationPolicy::Action;
    if (list.items().empty() && (policy_.action == Action::kDeny || policy_.action == Action::kCustom))
      report_.invalid("spec.rules", has(spec, "rules") ? list : spec,
                      "this action needs at least one rule; a rule {} speaks of everything");
    for (size_t i = 0; i < list.items().size() && i < kMaxRules; ++i)
      rule(list.items()[i], item_path("spec.rules", i));
  }

 private:
  void rule(const Node& node, const std::string& path) {
    AuthorizationRule& out = policy_.rules.emplace_back();
    out.mark = node.mark();
    bound(path + ".from", get(node, "from"), kMaxFrom);
    each(node, "from", path, [&](const Node& item, const std::string& at) {
      source(get(item, "source"), at + ".source", out.from.emplace_back());
    });
    each(node, "to", path, [&](const Node& item, const std::string& at) {
      operation(get(item, "operation"), at + ".operation", out.to.emplace_back());
    });
    each(node, "when", path, [&](const Node& item, const std::string& at) {
      condition(item, at, out.when.emplace_back());
    });
    if (policy_.action == AuthorizationPolicy::Action::kAllow && excludes_in_vain(out))
      report_.warn("NoEffect", path, node.mark(),
                   "excluding names keeps no peer out that proves none; add principals [\"*\"] to ask for proof");
  }

  template <typename Read>
  void each(const Node& node, std::string_view key, const std::string& path, Read read) {
    const Node& list = get(node, key);
    const std::string at = fmt::format("{}.{}", path, key);
    if (has(node, key) && list.items().empty() && key != "when")
      report_.invalid(at, list, "an empty list; leave the field out to ask for nothing");
    for (size_t i = 0; i < list.items().size() && i < kMaxFrom; ++i) read(list.items()[i], item_path(at, i));
  }

  void bound(const std::string& path, const Node& list, size_t most) {
    if (list.items().size() > most)
      report_.invalid(path, list, fmt::format("{} elements, at most {}", list.items().size(), most));
  }

  void source(const Node& node, const std::string& path, AuthorizationMatch& out) {
    not_empty(node, path);
    out.principals = principals(node, "principals", path);
    out.not_principals = principals(node, "notPrincipals", path);
    out.namespaces = patterns(node, "namespaces", path);
    out.not_namespaces = patterns(node, "notNamespaces", path);
    out.service_accounts = accounts(node, "serviceAccounts", path);
    out.not_service_accounts = accounts(node, "notServiceAccounts", path);
    out.source_ranges = ranges(node, "ipBlocks", path);
    out.not_source_ranges = ranges(node, "notIpBlocks", path);
    const bool names = has(node, "principals") || has(node, "notPrincipals") || has(node, "namespaces") ||
                       has(node, "notNamespaces");
    if (names && (has(node, "serviceAccounts") || has(node, "notServiceAccounts")))
      report_.invalid(path, node, "service accounts do not stand beside principals or namespaces");
    beyond_layer4(node, path, out);
  }

  void operation(const Node& node, const std::string& path, AuthorizationMatch& out) {
    not_empty(node, path);
    out.ports = ports(node, "ports", path);
    out.not_ports = ports(node, "notPorts", path);
    beyond_layer4(node, path, out);
  }

  void condition(const Node& node, const std::string& path, AuthorizationMatch& out) {
    const std::string key = text(node, "key");
    if (get(node, "values").items().empty() && get(node, "notValues").items().empty())
      report_.invalid(path, node, "expected values or notValues");
    if (key == "source.ip") {
      out.source_ranges = ranges(node, "values", path);
      out.not_source_ranges = ranges(node, "notValues", path);
    } else if (key == "destination.ip") {
      out.destination_ranges = ranges(node, "values", path);
      out.not_destination_ranges = ranges(node, "notValues", path);
    } else if (key == "destination.port") {
      out.ports = ports(node, "values", path);
      out.not_ports = ports(node, "notValues", path);
    } else if (key == "source.namespace") {
      out.namespaces = patterns(node, "values", path);
      out.not_namespaces = patterns(node, "notValues", path);
    } else if (key == "source.principal") {
      out.principals = principals(node, "values", path);
      out.not_principals = principals(node, "notValues", path);
    } else if (key == "source.serviceAccount") {
      out.service_accounts = accounts(node, "values", path);
      out.not_service_accounts = accounts(node, "notValues", path);
    } else {
      out.beyond = true;
      say_beyond(path + ".key", get(node, "key"), fmt::format("layer 4 cannot tell {}", describe(get(node, "key"))));
    }
  }

  void not_empty(const Node& node, const std::string& path) {
    if (node.entries().empty()) report_.invalid(path, node, "it says nothing; leave it out to ask for nothing");
  }

  void beyond_layer4(const Node& node, const std::string& path, AuthorizationMatch& out) {
    for (const Node::Entry& entry : node.entries()) {
      if (entry.value.is_null()) continue;
      const std::string at = path + "." + entry.key;
      if (std::ranges::find(kHttpOnly, entry.key) != std::end(kHttpOnly)) {
        say_beyond(at, entry.value, "policy is enforced at layer 4, which reads no HTTP");
      } else if (entry.key == "remoteIpBlocks" || entry.key == "notRemoteIpBlocks") {
        say_beyond(at, entry.value, "layer 4 knows the peer's own address only, use ipBlocks");
      } else if (entry.key == "trustDomains" || entry.key == "notTrustDomains") {
        say_beyond(at, entry.value, "not built, use principals such as \"domain/*\"");
      } else {
        continue;
      }
      out.beyond = true;
    }
  }

  void say_beyond(const std::string& path, const Node& node, std::string why) {
    using Action = AuthorizationPolicy::Action;
    const char* effect = policy_.action == Action::kAllow ? "the whole rule lets nobody in"
                         : policy_.action == Action::kAudit
                             ? "the policy has no effect anyway"
                             : "the rule refuses as if this were fulfilled";
    report_.unsupported_value(path, node, fmt::format("{}: {}", why, effect));
  }

  // Strings of a list, each held to `problem`, which says what is wrong or nothing.
  template <typename Problem>
  std::vector<std::string> strings(const Node& node, std::string_view key, const std::string& path, Problem problem) {
    const Node& list = get(node, key);
    std::vector<std::string> out;
    for (size_t i = 0; i < list.items().size(); ++i) {
      const std::string& word = list.items()[i].as_string();
      std::string wrong = word.empty() ? "an empty string" : problem(word);
      if (word.size() > kMaxValue) wrong = fmt::format("{} bytes, at most {}", word.size(), kMaxValue);
      count(path, node, word.size());
      if (!wrong.empty()) report_.invalid(item_path(fmt::format("{}.{}", path, key), i), list.items()[i], wrong);
      out.push_back(word);
    }
    if (has(node, key) && list.items().empty())
      report_.invalid(fmt::format("{}.{}", path, key), list, "an empty list; leave the field out to ask for nothing");
    return out;
  }

  std::vector<std::string> patterns(const Node& node, std::string_view key, const std::string& path) {
    return strings(node, key, path, [](std::string_view word) -> std::string {
      if (word.size() > 1 && word.ends_with('*')) word.remove_suffix(1);
      else if (word.starts_with('*')) word.remove_prefix(1);
      return word.contains('*') ? "a \"*\" stands for the beginning or the end, once" : "";
    });
  }

  std::vector<std::string> principals(const Node& node, std::string_view key, const std::string& path) {
    for (const std::string& word : texts(node, key))
      if (word.starts_with("spiffe://"))
        report_.invalid(fmt::format("{}.{}", path, key), get(node, key),
                        "principals are written without \"spiffe://\"");
    return patterns(node, key, path);
  }

  std::vector<std::string> accounts(const Node& node, std::string_view key, const std::string& path) {
    if (get(node, key).items().size() > kMaxAccounts)
      bound(fmt::format("{}.{}", path, key), get(node, key), kMaxAccounts);
    auto out = strings(node, key, path, [](std::string_view word) -> std::string {
      const size_t slash = word.find('/');
      const bool good = slash == std::string_view::npos ? is_dns_subdomain(word)
                                                        : is_dns_label(word.substr(0, slash)) &&
                                                              is_dns_subdomain(word.substr(slash + 1));
      return good ? "" : fmt::format("expected account or namespace/account, found \"{}\"", word);
    });
    const std::string ns = report_.object() ? report_.object()->ns : "";
    for (std::string& account : out)
      if (!account.contains('/')) account = ns + "/" + account;
    return out;
  }

  std::vector<base::Cidr> ranges(const Node& node, std::string_view key, const std::string& path) {
    std::vector<base::Cidr> out;
    (void)strings(node, key, path, [&](const std::string& word) -> std::string {
      const auto range = base::Cidr::parse(word);
      if (range) out.push_back(*range);
      return range ? "" : fmt::format("expected an address or a range such as 10.0.0.0/8, found \"{}\"", word);
    });
    return out;
  }

  std::vector<uint16_t> ports(const Node& node, std::string_view key, const std::string& path) {
    std::vector<uint16_t> out;
    (void)strings(node, key, path, [&](const std::string& word) -> std::string {
      const auto port = parse_port(word);
      if (port) out.push_back(*port);
      return port ? "" : fmt::format("expected a port from 1 to 65535, found \"{}\"", word);
    });
    return out;
  }

  void count(const std::string& path, const Node& node, size_t bytes) {
    const bool was_fine = values_ <= kMaxValues && bytes_ <= kMaxValueBytes;
    ++values_;
    bytes_ += bytes;
    if (was_fine && (values_ > kMaxValues || bytes_ > kMaxValueBytes))
      report_.invalid(path, node, fmt::format("more than {} values or {} bytes of them in one policy; split it",
                                              kMaxValues, kMaxValueBytes));
  }

  AuthorizationPolicy& policy_;
  Report& report_;
  size_t values_ = 0, bytes_ = 0;
};

AuthorizationPolicy::Action read_action(const Node& spec, Report& report) {
  using Action = AuthorizationPolicy::Action;
  const std::string word = text(spec, "action", "ALLOW");
  if (word == "DENY") return Action::kDeny;
  if (word == "AUDIT") {
    report.unsupported_value("spec.action", get(spec, "action"), "AUDIT is not built; the policy has no effect");
    return Action::kAudit;
  }
  if (word == "CUSTOM") {
    report.unsupported_value("spec.action", get(spec, "action"),
                             "there is nobody to ask yet, so what its rules match is refused");
    return Action::kCustom;
  }
  return Action::kAllow;
}

void read_targets(const Node& spec, AuthorizationPolicy& out, Report& report) {
  out.has_targets = has(spec, "targetRef") || has(spec, "targetRefs");
  if (!out.has_targets) return;
  const std::string_view key = has(spec, "targetRefs") ? "targetRefs" : "targetRef";
  const std::string path = fmt::format("spec.{}", key);
  if (has(spec, "selector")) report.invalid(path, get(spec, key), "it does not stand beside a selector");
  if (get(spec, key).items().size() > kMaxTargets) report.invalid(path, get(spec, key), "more than 16 targets");
  report.unsupported_value(path, get(spec, key),
                           "policies for waypoints are not built; the whole policy has no effect");
}

void read_dry_run(const Node& root, AuthorizationPolicy& out, Report& report) {
  const Node& word = root.at({"metadata", "annotations", "istio.io/dry-run"});
  if (word.is_null()) return;
  out.dry_run = word.as_string() == "true";
  if (!out.dry_run && word.as_string() != "false")
    report.unsupported_value("metadata.annotations[istio.io/dry-run]", word,
                             "expected \"true\" or \"false\"; the policy is enforced");
}

}  // namespace

std::shared_ptr<Object> read_authorization_policy(const Node& root, Report& report) {
  auto out = std::make_shared<AuthorizationPolicy>();
  const Node& spec = get(root, "spec");
  out->selector = read_labels(get(spec, "selector"), "matchLabels", "spec.selector.matchLabels", report);
  if (has(spec, "selector") && out->selector.empty())
    report.warn("NoEffect", "spec.selector", get(spec, "selector").mark(), "it names no label and selects everything");
  out->action = read_action(spec, report);
  read_targets(spec, *out, report);
  read_dry_run(root, *out, report);
  Reader(*out, report).rules(spec);
  return out;
}

}  // namespace weft::objects
