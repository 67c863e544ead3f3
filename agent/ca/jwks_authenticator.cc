#include "agent/ca/jwks_authenticator.h"

#include <fmt/format.h>

#include "userspace-proxy/base/log.h"

namespace weft::ca {

JwksAuthenticator::JwksAuthenticator(Options options, const base::Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

KeySetPtr JwksAuthenticator::keys() const {
  const base::MutexLock lock(mutex_);
  return keys_;
}

Judged<Caller> JwksAuthenticator::authenticate(std::string_view token, std::string_view cluster) {
  if (!cluster.empty() && cluster != options_.cluster)
    return refuse(Reason::kCluster, fmt::format("cluster \"{}\"", cluster.substr(0, 64)));
  const KeySetPtr held = keys();
  if (held == nullptr) return refuse(Reason::kNotReady, "no keys to prove tokens with");
  return verify_token(token, *held, options_.rules, clock_.wall_now());
}

void JwksAuthenticator::refresh() {
  const Stamp current = stamp_of(options_.file);
  if (looked_ && current == seen_) return;
  looked_ = true;
  seen_ = current;
  const auto text = read_file(options_.file);
  auto next = text ? parse_jwks(*text) : base::Result<KeySetPtr>(std::unexpected(text.error()));
  if (!next) {
    ++refused_;
    problem_ = fmt::format("{}: {}", options_.file, base::describe(next.error()));
    spdlog::error("token keys are not taken, the former ones stay in force: {}", problem_);
    return;
  }
  problem_.clear();
  spdlog::info("token keys: {} from {}", (*next)->size(), options_.file);
  const base::MutexLock lock(mutex_);
  keys_ = std::move(*next);
}

}  // namespace weft::ca
