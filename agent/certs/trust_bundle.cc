#include "agent/certs/trust_bundle.h"

#include <algorithm>

#include "userspace-proxy/base/log.h"

namespace weft::certs {
namespace {

// Seconds since 1970: a restarted agent begins above what the one before has reached.
uint64_t now_number(const base::Clock& clock) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(clock.wall_now().time_since_epoch()).count());
}

}  // namespace

bool TrustBundle::take(RootsPtr roots) {
  problem_.clear();
  if (roots_ != nullptr && roots->pem() == roots_->pem()) return false;
  roots_ = std::move(roots);
  generation_ = std::max(generation_ + 1, now_number(clock_));
  ++counters_.changes;
  counters_.left_out += roots_->left_out();
  if (roots_->left_out() != 0)
    spdlog::warn("certs: trust bundle: {} certificates are no authority's and were left out",
                 roots_->left_out());
  spdlog::info("certs: trust bundle {}: {} roots, {}", generation_, roots_->count(), roots_->fingerprint());
  return true;
}

void TrustBundle::refuse(std::string why) {
  ++counters_.refused;
  problem_ = std::move(why);
  spdlog::error("certs: trust bundle refused, {}: {}",
                roots_ == nullptr ? "there is none" : "the last good one stays", problem_);
}

bool TrustBundle::look_at_file(const base::Result<std::string>& content) {
  // What cannot be read is told from every content by a byte that no PEM begins with.
  const std::string look = content ? *content : std::string(1, '\0') + base::describe(content.error());
  const bool same = seen_before_ && look == seen_;
  if (same && judged_) return false;
  // The very first content is taken at once: nothing that is believed can be lost by it.
  const bool settled = same || roots_ == nullptr;
  seen_ = look;
  seen_before_ = true;
  judged_ = settled;
  if (!settled) return false;
  if (!content && roots_ == nullptr && clock_.now() - began_ < kArrives) {
    if (problem_.empty()) spdlog::info("certs: the file of roots is not there yet: {}", base::describe(content.error()));
    problem_ = base::describe(content.error());
    judged_ = false;
    return false;
  }
  if (!content) {
    refuse(base::describe(content.error()));
    return false;
  }
  auto roots = Roots::parse(*content);
  if (roots) return take(std::move(*roots));
  refuse(roots.error().what);
  return false;
}

bool TrustBundle::take_answer(const RootsPtr& roots) {
  return source_ == Source::kAnswers && roots != nullptr && take(roots);
}

}  // namespace weft::certs
