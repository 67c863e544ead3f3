#include "agent/cni/admission.h"

#include <algorithm>

#include "userspace-proxy/base/log.h"

namespace weft::cni {
namespace {

constexpr base::Nanos kLookEvery = base::Millis(50);

}  // namespace

std::string_view name_of(Outcome outcome) {
  constexpr std::array<std::string_view, kOutcomes> kNames = {"captured", "left", "left_by_namespace",
                                                              "retry"};
  return kNames[static_cast<size_t>(outcome)];
}

Admission::Admission(base::Loop& loop, PodJudge& judge, Capturer& capturer, AdmissionOptions options)
    : loop_(loop), judge_(judge), capturer_(capturer), options_(options), timer_(loop.timers(), [this] {
        look_again();
      }) {}

void Admission::on_add(const Request& sandbox, Reply reply) {
  Waiting one{sandbox, std::move(reply), loop_.clock().now()};
  if (waiting_.size() >= options_.max_waiting)
    return finish(one, Outcome::kRetry,
                  {.code = Code::kTryAgainLater,
                   .message = "too many pods start at once, the agent is busy with others"});
  capturer_.sandbox_is(sandbox);
  if (settle(one)) return;
  waiting_.push_back(std::move(one));
  if (!timer_.armed()) timer_.arm(kLookEvery);
}

void Admission::on_check(const Request& sandbox, Reply reply) {
  ++counters_.checks;
  const Judgement judgement = judge_.judge(sandbox);
  if (judgement.verdict != Verdict::kCapture) return reply({.ok = true});
  if (capturer_.is_armed(sandbox)) return reply({.ok = true, .captured = true});
  ++counters_.checks_failed;
  reply({.code = Code::kNotCaptured, .message = "not captured: " + capturer_.why_not_armed(sandbox)});
}

void Admission::on_del(const Request& sandbox) {
  ++counters_.dels;
  // Who still waits to be added is not needed any more; the runtime has given up on that call.
  std::erase_if(waiting_,
                [&](const Waiting& one) { return one.sandbox.container_id == sandbox.container_id; });
  capturer_.sandbox_gone(sandbox);
}

void Admission::look_again() {
  if (looking_) return;
  looking_ = true;
  const base::Instant now = loop_.clock().now();
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    if (settle(*here)) {
      waiting_.erase(here);
      continue;
    }
    if (now - here->since < options_.patience) continue;
    give_up(*here);
    waiting_.erase(here);
  }
  looking_ = false;
  if (!waiting_.empty()) timer_.arm(kLookEvery);
}

// True once there is an answer.
bool Admission::settle(Waiting& one) {
  const Judgement judgement = judge_.judge(one.sandbox);
  if (judgement.verdict == Verdict::kLeave) {
    finish(one, Outcome::kLeft, {.ok = true, .message = judgement.reason});
    return true;
  }
  if (judgement.verdict != Verdict::kCapture || !capturer_.is_armed(one.sandbox)) return false;
  finish(one, Outcome::kCaptured, {.ok = true, .captured = true, .message = judgement.reason});
  return true;
}

void Admission::give_up(Waiting& one) {
  const Judgement judgement = judge_.judge(one.sandbox);
  if (judgement.verdict == Verdict::kCapture)
    return finish(one, Outcome::kRetry,
                  {.code = Code::kTryAgainLater,
                   .message = "not captured yet: " + capturer_.why_not_armed(one.sandbox)});
  // A kubelet starts only what the API server has told it, so an object that does not come says that the API
  // server is away: static pods, and pods that were bound just before. Pods of namespaces outside the mesh
  // start all the same.
  const Judgement by_namespace = judge_.judge_namespace(one.sandbox.ns);
  if (by_namespace.verdict == Verdict::kLeave)
    return finish(one, Outcome::kLeftByNamespace, {.ok = true, .message = by_namespace.reason});
  finish(one, Outcome::kRetry,
         {.code = Code::kTryAgainLater,
          .message = "the agent has not seen the pod's object yet (" + judgement.reason +
                     "); is the API server away?"});
}

void Admission::finish(Waiting& one, Outcome outcome, Answer answer) {
  ++counters_.adds[static_cast<size_t>(outcome)];
  const base::Nanos took = loop_.clock().now() - one.since;
  if (answer.ok) counters_.longest_add = std::max(counters_.longest_add, took);
  const auto ms = std::chrono::duration_cast<base::Millis>(took).count();
  if (answer.ok) {
    spdlog::info("cni: pod {}/{} may start ({}, after {} ms)", one.sandbox.ns, one.sandbox.name,
                 name_of(outcome), ms);
  } else {
    spdlog::warn("cni: pod {}/{} may not start yet: {}", one.sandbox.ns, one.sandbox.name, answer.message);
  }
  one.reply(std::move(answer));
}

}  // namespace weft::cni
