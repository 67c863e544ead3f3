#pragma once
// A new pod's way past the agent: who it is, whether it is to be captured, and its start once it is.
#include <array>
#include <list>
#include <string_view>

#include "agent/cni/handler.h"
#include "userspace-proxy/base/loop.h"

namespace weft::cni {

enum class Verdict : uint8_t {
  kCapture,
  kLeave,    // none of the mesh's
  kUnknown,  // the object has not come yet, or another pod of that name has
};
struct Judgement {
  Verdict verdict = Verdict::kUnknown;
  std::string reason;  // a sentence
};

// What the objects say of a pod. A door: tests put a fake in its place.
class PodJudge {
 public:
  virtual ~PodJudge() = default;
  [[nodiscard]] virtual Judgement judge(const Request& sandbox) const = 0;
  // Of a pod that is never seen, while the API server is away: its namespace alone speaks. kCapture: it would
  // be.
  [[nodiscard]] virtual Judgement judge_namespace(const std::string& ns) const = 0;
};

// Where pods are armed.
class Capturer {
 public:
  virtual ~Capturer() = default;
  // From now on this is where the pod lives, whether it is captured or not: it may be enrolled later.
  virtual void sandbox_is(const Request& sandbox) = 0;
  virtual void sandbox_gone(const Request& sandbox) = 0;
  // Every packet of the pod is ours. The proxy need not be there yet: connections wait for it.
  [[nodiscard]] virtual bool is_armed(const Request& sandbox) const = 0;
  [[nodiscard]] virtual std::string why_not_armed(const Request& sandbox) const = 0;
};

struct AdmissionOptions {
  // For how long a pod's object, and its arming, are waited for; the plugin is told to try again then.
  base::Nanos patience = base::Millis(4000);
  size_t max_waiting = 256;
};

// How ADDs ended.
enum class Outcome : uint8_t { kCaptured, kLeft, kLeftByNamespace, kRetry };
inline constexpr size_t kOutcomes = 4;
[[nodiscard]] std::string_view name_of(Outcome outcome);

struct AdmissionCounters {
  std::array<uint64_t, kOutcomes> adds{};
  uint64_t dels = 0, checks = 0, checks_failed = 0;
  base::Nanos longest_add{};  // of those that ended well
};

// Owned by main, in the loop's thread. Init containers are captured from their first packet: an ADD of a pod
// that is to be captured is answered when it is armed, not before.
class Admission final : public Handler {
 public:
  // `judge` and `capturer` outlive it.
  Admission(base::Loop& loop, PodJudge& judge, Capturer& capturer, AdmissionOptions options = {});

  void on_add(const Request& sandbox, Reply reply) override;
  void on_check(const Request& sandbox, Reply reply) override;
  void on_del(const Request& sandbox) override;

  // Judge or capturer may know more now. Those who wait are looked at a few times a second anyway.
  void look_again();
  [[nodiscard]] const AdmissionCounters& counters() const { return counters_; }
  [[nodiscard]] size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Request sandbox;
    Reply reply;
    base::Instant since;
  };

  [[nodiscard]] bool settle(Waiting& one);
  void give_up(Waiting& one);
  void finish(Waiting& one, Outcome outcome, Answer answer);

  base::Loop& loop_;
  PodJudge& judge_;
  Capturer& capturer_;
  const AdmissionOptions options_;
  std::list<Waiting> waiting_;
  bool looking_ = false;  // a capturer that tells news while it is asked
  base::Timer timer_;
  AdmissionCounters counters_;
};

}  // namespace weft::cni
