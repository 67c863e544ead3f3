#include "agent/state/hosts.h"

#include <algorithm>

namespace weft::state {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

}  // namespace

std::string service_hostname(std::string_view name, std::string_view ns, std::string_view domain) {
  std::string out;
  out.reserve(name.size() + ns.size() + domain.size() + 6);
  return out.append(name).append(".").append(ns).append(".svc.").append(domain);
}

std::string complete_host(std::string_view host, std::string_view rule_ns, std::string_view domain) {
  std::string out = lower(host);
  if (out.size() > 1 && out.ends_with('.')) out.pop_back();
  if (is_wildcard(out) || out.contains('.') || out.contains(':') || out.empty()) return out;
  return service_hostname(out, rule_ns, domain);
}

bool is_wildcard(std::string_view host) {
  return host.starts_with('*');
}

bool covers(std::string_view pattern, std::string_view host) {
  if (!is_wildcard(pattern)) return pattern == host;
  const std::string_view suffix = pattern.substr(1);
  if (is_wildcard(host)) return host.substr(1).ends_with(suffix);
  return host.size() > suffix.size() && host.ends_with(suffix);
}

std::optional<std::string> intersection(const std::string& a, const std::string& b) {
  if (covers(a, b)) return b;
  if (covers(b, a)) return a;
  return std::nullopt;
}

bool more_specific(const std::string& a, const std::string& b) {
  if (is_wildcard(a) != is_wildcard(b)) return !is_wildcard(a);
  if (a.size() != b.size()) return a.size() > b.size();
  return a < b;
}

std::string complete_gateway(std::string_view gateway, std::string_view rule_ns) {
  if (gateway == "mesh" || gateway.contains('/')) {
    // Istio also reads "./name".
    if (gateway.starts_with("./")) return std::string(rule_ns).append(gateway.substr(1));
    return std::string(gateway);
  }
  return std::string(rule_ns).append("/").append(gateway);
}

Visibility visibility_of(const std::vector<std::string>& export_to, const std::string& own_ns) {
  Visibility out;
  if (export_to.empty() || has(export_to, "*")) return out;
  out.everybody = false;
  if (has(export_to, "~")) return out;
  for (const std::string& ns : export_to) out.namespaces.insert(ns == "." ? own_ns : ns);
  return out;
}

}  // namespace weft::state
