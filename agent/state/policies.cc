#include "agent/state/policies.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "agent/objects/annotations.h"
#include "agent/objects/pre_mesh_policy.h"

namespace weft::state {
namespace {

constexpr const char* kAllowFrom = "weft.mesh/allow-from";
constexpr const char* kDenyFrom = "weft.mesh/deny-from";
constexpr const char* kPeerMode = "weft.mesh/peer-mode";
constexpr const char* kFailMode = "weft.mesh/fail-mode";
constexpr const char* kSameNode = "weft.mesh/same-node";

const std::string* annotation(const objects::Namespace& ns, const char* key) {
  const auto found = ns.meta.annotations.find(key);
  return found == ns.meta.annotations.end() ? nullptr : &found->second;
}

std::string place_of(const objects::Namespace& ns, const char* key) {
  std::string out = "Namespace " + ns.meta.name + " annotation " + key;
  if (!ns.file.empty()) out += " (" + ns.file + ":" + std::to_string(ns.mark.line) + ")";
  return out;
}

objects::Finding refuse(const objects::Namespace& ns, const char* key, std::string message) {
  objects::Finding finding;
  finding.code = "InvalidValue";
  finding.file = ns.file;
  finding.line = ns.mark.line;
  finding.column = ns.mark.column;
  finding.path = std::string("metadata.annotations[") + key + "]";
  finding.message = std::move(message);
  finding.object = objects::key_of(ns);
  return finding;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

// A DNS label, the form of every namespace's name.
bool is_namespace_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::ranges::all_of(
      text, [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

struct Peers {
  std::vector<std::string> namespaces;
  std::vector<base::Cidr> ranges;
};

base::Result<Peers> parse_peers(std::string_view text) {
  Peers out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view word = trimmed(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    if (word.empty()) continue;
    if (const auto range = base::Cidr::parse(word)) {
      out.ranges.push_back(*range);
      continue;
    }
    if (!is_namespace_name(word)) {
      return base::fail(
          base::ErrorKind::kInvalid,
          "\"" + std::string(word) + "\" is neither the name of a namespace nor an address range");
    }
    out.namespaces.emplace_back(word);
  }
  if (out.namespaces.empty() && out.ranges.empty()) {
    return base::fail(base::ErrorKind::kInvalid,
                      "the list is empty; remove the annotation to lift the restriction");
  }
  return out;
}

void add_rule(NamespacePolicy& policy, model::PolicyRule rule, const std::string& place,
              std::string_view what) {
  rule.source = place;
  if (!what.empty()) rule.source.append(", ").append(what);
  rule.id = rule_id(rule.source);
  policy.rules.push_back(std::move(rule));
}

// One rule for the namespaces and one for the ranges: within a rule the fields are ANDed, the list means OR.
void read_peers(const objects::Namespace& ns, const char* key, bool deny, NamespacePolicy& policy) {
  const std::string* text = annotation(ns, key);
  if (!text) return;
  const std::string place = place_of(ns, key);
  auto peers = parse_peers(*text);
  if (!peers) {
    policy.findings.push_back(
        refuse(ns, key,
               peers.error().what +
                   "; every call to this namespace's enrolled pods is refused until this is mended"));
    add_rule(policy, {.deny = true}, place, "unreadable, so everything is refused");
    return;
  }
  if (!peers->namespaces.empty()) {
    model::PolicyMatch match;
    for (auto& name : peers->namespaces)
      match.namespaces.push_back({model::StringPattern::Kind::kExact, std::move(name)});
    add_rule(policy, {.deny = deny, .clauses = {{std::move(match)}}}, place, "namespaces");
  }
  if (!peers->ranges.empty()) {
    model::PolicyMatch match;
    match.source_ranges = std::move(peers->ranges);
    add_rule(policy, {.deny = deny, .clauses = {{std::move(match)}}}, place, "address ranges");
  }
}

// True for `yes`, false for `no` or where nothing is said; what cannot be read is `closed`.
bool read_word(const objects::Namespace& ns, const char* key, const char* yes, const char* no, bool closed,
               NamespacePolicy& policy) {
  const std::string* text = annotation(ns, key);
  if (!text || *text == no) return false;
  if (*text == yes) return true;
  policy.findings.push_back(refuse(ns, key,
                                   "\"" + *text + "\" is not a known mode, use " + yes + " or " + no +
                                       "; until then it means " + (closed ? yes : no)));
  return closed;
}

void check_pre_mesh(const objects::Namespace& ns, NamespacePolicy& policy) {
  const std::string* text = annotation(ns, objects::kPreMeshAnnotation);
  if (!text) return;
  if (auto read = objects::parse_pre_mesh_policy(*text); !read)
    policy.findings.push_back(
        refuse(ns, objects::kPreMeshAnnotation, read.error().what + "; until then it means leave"));
}

}  // namespace

uint32_t rule_id(const std::string& source) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (unsigned char c : source) hash = (hash ^ c) * 16777619u;
  return hash == 0 ? 1 : hash;
}

NamespacePolicy policy_of(const objects::Namespace& ns) {
  NamespacePolicy out;
  read_peers(ns, kDenyFrom, true, out);
  read_peers(ns, kAllowFrom, false, out);
  if (read_word(ns, kPeerMode, "strict", "permissive", true, out)) out.peer_mode = model::PeerMode::kStrict;
  if (annotation(ns, kPeerMode)) out.peer_mode_source = place_of(ns, kPeerMode);
  if (read_word(ns, kFailMode, "open", "closed", false, out)) out.fail_mode = model::FailMode::kOpen;
  if (annotation(ns, kSameNode)) out.same_node_tls = read_word(ns, kSameNode, "mtls", "attested", true, out);
  check_pre_mesh(ns, out);
  return out;
}

}  // namespace weft::state
