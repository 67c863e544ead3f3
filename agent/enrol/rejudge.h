#pragma once
// Connections that policy admitted when they were opened, judged again when it changes.
#include <deque>
#include <functional>
#include <set>

#include "agent/compile/judge.h"
#include "agent/enrol/pod_kernel.h"
#include "agent/enrol/pod_netns.h"
#include "userspace-proxy/base/loop.h"

namespace weft::enrol {

struct RejudgeCounters {
  uint64_t looked_at = 0;  // connections judged again
  uint64_t cut = 0;        // that are not admitted any more
  uint64_t failures = 0;   // namespaces that could not be asked, connections that could not be ended
};

// What the Rejudge works with; all of it outlives it.
struct RejudgeDoors {
  const PodKernel& kernel;
  std::function<const compile::Tables&()> tables;         // as the kernel has them
  std::function<PodNetns*(uint32_t pod_id)> netns_of;     // null: not enrolled (any more)
  std::function<void(const weft_event&)> on_cut;          // for the log: by which rule or mode
};

// Ends the connections past the proxy that sk_lookup would not hand to the application any more: those a rule
// or a mode refuses, and those that belong to the proxy from now on; whoever is affected calls again. What the
// proxy carries it judges itself. Owned by main, lives in the thread of `loop`; takes kTurn of a turn or the time of
// one pod, so that nothing waits long for it. Every pod is looked at twice, since a connection may have been half open the first time.
class Rejudge {
 public:
  static constexpr base::Nanos kSecondLook = base::Millis(400);
  static constexpr base::Nanos kTurn = base::Millis(4);

  Rejudge(base::Loop& loop, RejudgeDoors doors);
  Rejudge(const Rejudge&) = delete;
  Rejudge& operator=(const Rejudge&) = delete;

  // Of compile::judged_anew(); call when the kernel has the new tables.
  void look_at(const std::set<uint32_t>& pod_ids);
  [[nodiscard]] const RejudgeCounters& counters() const { return counters_; }

 private:
  void turn();
  void look(uint32_t pod_id);
  void judge(PodNetns& netns, const weft_pod& pod, const ArrivedConnection& connection);
  [[nodiscard]] compile::Caller caller_of(const weft_tuple& tuple) const;

  const base::Clock& clock_;
  RejudgeDoors doors_;
  base::Timer timer_, second_look_;
  std::deque<uint32_t> due_;
  std::set<uint32_t> again_;  // for the second look
  RejudgeCounters counters_;
};

}  // namespace weft::enrol
