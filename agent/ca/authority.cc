#include "agent/ca/authority.h"

#include "userspace-proxy/base/log.h"

namespace weft::ca {

base::Result<std::unique_ptr<Authority>> Authority::open(const std::string& directory,
                                                         const std::string& trust_domain, base::WallTime now) {
  TRY(ensure_root(directory, trust_domain, now));
  std::unique_ptr<Authority> out(new Authority(directory));
  if (!out->refresh(now)) return base::fail(base::ErrorKind::kInvalid, out->problem_);
  return out;
}

Authority::Stamps Authority::stamps() const {
  return {stamp_of(files_.certificate), stamp_of(files_.key), stamp_of(files_.roots), stamp_of(files_.chain)};
}

bool Authority::refresh(base::WallTime now) {
  // Before the reading: a change in the midst of it is seen by the next call.
  const Stamps current = stamps();
  const bool changed = current != seen_;
  // What was refused is tried again: a certificate that was not valid yet may be now.
  if (!changed && problem_.empty()) return false;
  seen_ = current;
  auto next = read_signer(files_, now);
  if (!next) {
    std::string problem = base::describe(next.error());
    if (!changed && problem == problem_) return false;
    ++refused_;
    problem_ = std::move(problem);
    spdlog::error("CA files are not taken, the former ones stay in force: {}", problem_);
    return false;
  }
  problem_.clear();
  ++generation_;
  spdlog::info("CA: signing as generation {}, {} root(s), {} intermediate(s)", generation_, (*next)->roots,
               (*next)->intermediates.size());
  const base::MutexLock lock(mutex_);
  signer_ = std::move(*next);
  return true;
}

SignerPtr Authority::signer() const {
  const base::MutexLock lock(mutex_);
  return signer_;
}

}  // namespace weft::ca
