#include "agent/ca/token_review_authenticator.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/ca/token.h"
#include "agent/objects/values.h"

namespace weft::ca {
namespace {

constexpr std::string_view kAccount = "system:serviceaccount:";
constexpr std::string_view kAccountsGroup = "system:serviceaccounts";
constexpr size_t kMaxUid = 128;

// Three parts of base64url: what is anything else costs the API server no question.
bool looks_like_jwt(std::string_view token) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return std::ranges::all_of(token, good) && std::ranges::count(token, '.') == 2 && !token.starts_with('.');
}

}  // namespace

Judged<Caller> caller_of(const kube::TokenVerdict& verdict) {
  if (!verdict.authenticated)
    return refuse(Reason::kTokenRefused, "the API server says: " + verdict.error.substr(0, 200));
  // Another authenticator of the server may use such a name; the group is given to service accounts alone.
  if (!verdict.username.starts_with(kAccount) ||
      std::ranges::find(verdict.groups, kAccountsGroup) == verdict.groups.end())
    return refuse(Reason::kTokenClaims, "no service account");
  const std::string_view who = std::string_view(verdict.username).substr(kAccount.size());
  const size_t colon = who.find(':');
  if (colon == std::string_view::npos)
    return refuse(Reason::kTokenClaims, "a service account without a name");
  Caller caller{.ns = std::string(who.substr(0, colon)),
                .service_account = std::string(who.substr(colon + 1)),
                .pod = verdict.pod_name(),
                .pod_uid = verdict.pod_uid(),
                .node = verdict.node_name()};
  if (!objects::is_dns_label(caller.ns) || !objects::is_dns_subdomain(caller.service_account))
    return refuse(Reason::kTokenClaims, "a service account with a strange name");
  // A token that is bound to no pod outlives whoever it was given to.
  if (!objects::is_dns_subdomain(caller.pod) || caller.pod_uid.empty() || caller.pod_uid.size() > kMaxUid)
    return refuse(Reason::kTokenClaims, "bound to no pod");
  if (!caller.node.empty() && !objects::is_dns_subdomain(caller.node))
    return refuse(Reason::kTokenClaims, "node with a strange name");
  return caller;
}

Judged<Caller> TokenReviewAuthenticator::authenticate(std::string_view token, std::string_view cluster) {
  if (!cluster.empty() && cluster != options_.cluster)
    return refuse(Reason::kCluster, fmt::format("cluster \"{}\"", cluster.substr(0, 64)));
  if (token.size() > kMaxToken || !looks_like_jwt(token)) return refuse(Reason::kTokenMalformed, "no JWT");
  const std::string audiences[] = {options_.audience};
  const auto verdict = reviewer_.review(token, audiences);
  if (!verdict)
    return refuse(Reason::kNotReady, "nobody can be asked about the token: " + verdict.error().what);
  return caller_of(*verdict);
}

}  // namespace weft::ca
