#include "agent/compile/terms.h"

#include <algorithm>

#include "userspace-proxy/model/identity.h"

namespace weft::compile {
namespace {

using model::PolicyMatch;
using model::StringPattern;
using MaybeTerms = std::optional<Terms>;  // nothing: beyond the kernel

enum class Meet : uint8_t { kNothing, kTerm, kBeyond };

bool lies_in(std::string_view account, std::string_view ns) {
  return account.size() > ns.size() && account.starts_with(ns) && account[ns.size()] == '/';
}

bool holds(const base::Cidr& outer, const base::Cidr& inner) {
  return outer.prefix_length <= inner.prefix_length && outer.contains(inner.address);
}

// Both are true of a peer exactly if `out` is; `b.who` is not before `a.who`.
Meet meet_ordered(const Term& a, const Term& b, Term& out) {
  out = b;
  if (a.who == Who::kAnyone) return Meet::kTerm;
  if (b.who == Who::kRange) {
    if (a.who != Who::kRange) return Meet::kBeyond;
    if (holds(a.range, b.range)) return Meet::kTerm;
    out = a;
    return holds(b.range, a.range) ? Meet::kTerm : Meet::kNothing;
  }
  if (a.who == Who::kAnonymous) return b.who == Who::kAnonymous ? Meet::kTerm : Meet::kNothing;
  if (a.who == Who::kProven) return Meet::kTerm;
  if (a.who == b.who) return a.name == b.name ? Meet::kTerm : Meet::kNothing;
  return lies_in(b.name, a.name) ? Meet::kTerm : Meet::kNothing;  // a namespace and an account
}

Meet meet(const Term& a, const Term& b, Term& out) {
  if (a.port != 0 && b.port != 0 && a.port != b.port) return Meet::kNothing;
  const Meet result = a.who <= b.who ? meet_ordered(a, b, out) : meet_ordered(b, a, out);
  out.port = std::max(a.port, b.port);
  return result;
}

Terms tidy(Terms terms) {
  std::ranges::sort(terms);
  const auto [first, last] = std::ranges::unique(terms);
  terms.erase(first, last);
  return terms;
}

// What is true of both.
MaybeTerms both(const MaybeTerms& a, const MaybeTerms& b) {
  if (!a || !b || a->size() * b->size() > kMaxTermsPerRule) return std::nullopt;
  Terms out;
  for (const Term& left : *a) {
    for (const Term& right : *b) {
      Term one;
      const Meet result = meet(left, right, one);
      if (result == Meet::kBeyond) return std::nullopt;
      if (result == Meet::kTerm) out.push_back(std::move(one));
    }
  }
  return tidy(std::move(out));
}

// Of a principal "domain/ns/NAMESPACE/sa/ACCOUNT" of this mesh only the names are unknown.
MaybeTerms terms_of_prefix(std::string_view prefix, const std::string& head) {
  if (head.starts_with(prefix)) return Terms{{.who = Who::kProven}};
  if (!prefix.starts_with(head)) return Terms{};
  const std::string_view rest = prefix.substr(head.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;  // a namespace's beginning
  if (slash == 0) return Terms{};
  constexpr std::string_view kMiddle = "/sa/";
  const std::string_view tail = rest.substr(slash);
  if (kMiddle.starts_with(tail)) return Terms{{.who = Who::kNamespace, .name = std::string(rest.substr(0, slash))}};
  if (tail.starts_with(kMiddle)) return std::nullopt;  // an account's beginning
  return Terms{};
}

MaybeTerms terms_of_principal(const StringPattern& pattern, std::string_view trust_domain) {
  switch (pattern.kind) {
    case StringPattern::Kind::kPresent:
      return Terms{{.who = Who::kProven}};
    case StringPattern::Kind::kPrefix:
      return terms_of_prefix(pattern.value, std::string(trust_domain) + "/ns/");
    case StringPattern::Kind::kSuffix:
      return std::nullopt;
    case StringPattern::Kind::kExact:
      break;
  }
  const auto id = model::SpiffeId::parse("spiffe://" + pattern.value);
  if (!id || id->trust_domain != trust_domain) return Terms{};  // nobody the kernel can prove
  return Terms{{.who = Who::kAccount, .name = id->ns + "/" + id->service_account}};
}

MaybeTerms terms_of_namespace(const StringPattern& pattern, std::string_view) {
  if (pattern.kind == StringPattern::Kind::kPresent) return Terms{{.who = Who::kProven}};
  if (pattern.kind != StringPattern::Kind::kExact) return std::nullopt;
  return Terms{{.who = Who::kNamespace, .name = pattern.value}};
}

template <typename TermsOfOne>
MaybeTerms any_of(const std::vector<StringPattern>& patterns, std::string_view trust_domain, TermsOfOne terms_of_one) {
  Terms out;
  for (const StringPattern& pattern : patterns) {
    const MaybeTerms one = terms_of_one(pattern, trust_domain);
    if (!one) return std::nullopt;
    out.insert(out.end(), one->begin(), one->end());
  }
  return tidy(std::move(out));
}

// A negative list: either it names nobody the kernel can prove, or it names all of those.
MaybeTerms none_of(const MaybeTerms& named) {
  if (!named) return std::nullopt;
  if (named->empty()) return Terms{Term{}};
  if (std::ranges::find(*named, Term{.who = Who::kProven}) != named->end()) return Terms{{.who = Who::kAnonymous}};
  return std::nullopt;
}

MaybeTerms terms_of_ranges(const std::vector<base::Cidr>& ranges) {
  Terms out;
  for (const base::Cidr& range : ranges)
    out.push_back(range.prefix_length == 0 ? Term{} : Term{.who = Who::kRange, .range = range});
  return out;
}

// Port 0 is no port of any connection, and must not become the word for all of them.
MaybeTerms terms_of_ports(const std::vector<uint16_t>& ports) {
  Terms out;
  for (const uint16_t port : ports)
    if (port != 0) out.push_back({.port = port});
  return tidy(std::move(out));
}

bool hold_all(const std::vector<base::Cidr>& ranges, const std::vector<base::Address>& addresses) {
  return !addresses.empty() && std::ranges::all_of(addresses, [&](const base::Address& address) {
    return std::ranges::any_of(ranges, [&](const base::Cidr& range) { return range.contains(address); });
  });
}

struct Context {
  bool deny = false;
  std::string_view trust_domain;
  const std::vector<base::Address>& addresses;
};

MaybeTerms terms_of_match(const PolicyMatch& match, const Context& context) {
  if (!match.not_service_accounts.empty() || !match.not_source_ranges.empty() || !match.not_ports.empty() ||
      !match.not_destination_ranges.empty())
    return std::nullopt;
  if (!match.destination_ranges.empty() && !(context.deny && hold_all(match.destination_ranges, context.addresses)))
    return std::nullopt;
  MaybeTerms out = Terms{Term{}};
  const auto principals = [&](const auto& list) { return any_of(list, context.trust_domain, terms_of_principal); };
  const auto namespaces = [&](const auto& list) { return any_of(list, context.trust_domain, terms_of_namespace); };
  if (!match.ports.empty()) out = both(out, terms_of_ports(match.ports));
  if (!match.principals.empty()) out = both(out, principals(match.principals));
  if (!match.not_principals.empty()) out = both(out, none_of(principals(match.not_principals)));
  if (!match.namespaces.empty()) out = both(out, namespaces(match.namespaces));
  if (!match.not_namespaces.empty()) out = both(out, none_of(namespaces(match.not_namespaces)));
  if (!match.service_accounts.empty()) {
    Terms accounts;
    for (const auto& account : match.service_accounts) accounts.push_back({.who = Who::kAccount, .name = account});
    out = both(out, tidy(std::move(accounts)));
  }
  if (!match.source_ranges.empty()) out = both(out, terms_of_ranges(match.source_ranges));
  return out;
}

}  // namespace

bool depends_on_destination(const model::PolicyRule& rule) {
  return std::ranges::any_of(rule.clauses, [](const model::PolicyClause& clause) {
    return std::ranges::any_of(clause, [](const PolicyMatch& match) { return !match.destination_ranges.empty(); });
  });
}

std::optional<Terms> terms_of(const model::PolicyRule& rule, std::string_view trust_domain,
                              const std::vector<base::Address>& addresses) {
  const Context context{rule.deny, trust_domain, addresses};
  MaybeTerms out = Terms{Term{}};
  for (const model::PolicyClause& clause : rule.clauses) {
    Terms any;
    for (const PolicyMatch& match : clause) {
      const MaybeTerms one = terms_of_match(match, context);
      if (!one || any.size() + one->size() > kMaxTermsPerRule) return std::nullopt;
      any.insert(any.end(), one->begin(), one->end());
    }
    out = both(out, tidy(std::move(any)));
    if (!out) return std::nullopt;
  }
  return out;
}

}  // namespace weft::compile
