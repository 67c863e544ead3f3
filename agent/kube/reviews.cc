#include "agent/kube/reviews.h"

#include <openssl/sha.h>

#include <algorithm>

namespace weft::kube {
namespace {

using objects::Node;

constexpr size_t kMaxToken = 16 * 1024;
constexpr size_t kMostValues = 64;  // groups, extra keys and values that are taken over

std::vector<std::string> strings_of(const Node& list) {
  std::vector<std::string> out;
  for (const Node& item : list.items())
    if (item.is_string() && out.size() < kMostValues) out.push_back(item.as_string());
  return out;
}

Node list_of(std::span<const std::string> words) {
  Node list = Node::sequence();
  for (const std::string& word : words) list.append(Node::string(word));
  return list;
}

std::array<uint8_t, 32> hash_of(std::string_view token, std::span<const std::string> audiences) {
  std::string text(token);
  for (const std::string& audience : audiences) (text += '\0') += audience;
  std::array<uint8_t, 32> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  return hash;
}

Node review_object(std::string_view kind, std::string_view api_version) {
  Node object = Node::mapping();
  object.set("apiVersion", Node::string(std::string(api_version)));
  object.set("kind", Node::string(std::string(kind)));
  return object;
}

}  // namespace

std::string TokenVerdict::first(std::string_view key) const {
  const auto found = extra.find(key);
  return found == extra.end() || found->second.empty() ? "" : found->second.front();
}

TokenVerdict read_token_review(const Node& review, std::span<const std::string> audiences) {
  const Node& status = review.at({"status"});
  TokenVerdict out{.error = status.at({"error"}).as_string()};
  const Node& user = status.at({"user"});
  out.username = user.at({"username"}).as_string();
  out.uid = user.at({"uid"}).as_string();
  out.groups = strings_of(user.at({"groups"}));
  out.audiences = strings_of(status.at({"audiences"}));
  for (const Node::Entry& entry : user.at({"extra"}).entries())
    if (out.extra.size() < kMostValues) out.extra.emplace(entry.key, strings_of(entry.value));
  out.authenticated = status.at({"authenticated"}).as_bool() && !out.username.empty();
  if (!out.authenticated) {
    if (out.error.empty()) out.error = "the API server does not know this token";
    return out;
  }
  const bool meant =
      audiences.empty() || std::ranges::any_of(out.audiences, [&](const std::string& audience) {
        return std::ranges::find(audiences, audience) != audiences.end();
      });
  if (meant) return out;
  out.authenticated = false;
  out.error = "the token is not meant for any audience that was asked for";
  return out;
}

ApiResult<TokenVerdict> Reviews::review(std::string_view token, std::span<const std::string> audiences) {
  if (token.empty() || token.size() > kMaxToken)
    return TokenVerdict{.error = token.empty() ? "no token" : "the token is too long"};
  const Key key = hash_of(token, audiences);
  {
    const base::MutexLock lock(mutex_);
    const auto found = verdicts_.find(key);
    if (found != verdicts_.end() && clock_.now() < found->second.until) {
      counters_.cached.fetch_add(1, std::memory_order_relaxed);
      return found->second.verdict;
    }
  }
  static const Resource kReviews = *known_resource("authentication.k8s.io/v1", "TokenReview");
  Node object = review_object("TokenReview", "authentication.k8s.io/v1");
  object["spec"].set("token", Node::string(std::string(token)));
  if (!audiences.empty()) object["spec"].set("audiences", list_of(audiences));
  counters_.asked.fetch_add(1, std::memory_order_relaxed);
  const base::Instant asked = clock_.now();
  const auto answer =
      client_.create_object(kReviews, "", object, {}, {.deadline = std::chrono::seconds(10), .retries = 3});
  if (!answer) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(answer.error());
  }
  TokenVerdict verdict = read_token_review(*answer, audiences);
  const base::MutexLock lock(mutex_);
  const base::Instant now = clock_.now();
  if (verdicts_.size() >= kMost)
    std::erase_if(verdicts_, [&](const auto& entry) { return entry.second.until <= now; });
  // Full of what is still good: somebody tries many tokens. Whoever asks waits for the server then.
  if (verdicts_.size() < kMost) verdicts_.insert_or_assign(key, Remembered{verdict, asked + kRemember});
  return verdict;
}

ApiResult<AccessVerdict> Reviews::access(const AccessQuestion& question) {
  static const Resource kReviews = *known_resource("authorization.k8s.io/v1", "SubjectAccessReview");
  Node object = review_object("SubjectAccessReview", "authorization.k8s.io/v1");
  Node& spec = object["spec"];
  spec.set("user", Node::string(question.user));
  if (!question.groups.empty()) spec.set("groups", list_of(question.groups));
  Node& wanted = spec["resourceAttributes"];
  wanted.set("verb", Node::string(question.verb));
  wanted.set("group", Node::string(question.group));
  wanted.set("resource", Node::string(question.resource));
  if (!question.subresource.empty()) wanted.set("subresource", Node::string(question.subresource));
  if (!question.ns.empty()) wanted.set("namespace", Node::string(question.ns));
  if (!question.name.empty()) wanted.set("name", Node::string(question.name));
  counters_.asked.fetch_add(1, std::memory_order_relaxed);
  const auto answer =
      client_.create_object(kReviews, "", object, {}, {.deadline = std::chrono::seconds(10), .retries = 3});
  if (!answer) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(answer.error());
  }
  const Node& status = answer->at({"status"});
  return AccessVerdict{.allowed = status.at({"allowed"}).as_bool() && !status.at({"denied"}).as_bool(),
                       .reason = status.at({"reason"}).as_string()};
}

}  // namespace weft::kube
