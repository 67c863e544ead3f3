#pragma once
// Readiness, liveness and startup probes. Each attempt is a child process inside the node's namespace
// (tcpSocket, httpGet) or inside the container (exec), so a slow one holds up nobody.
#include <sys/types.h>

#include <string>

#include "agent/sandbox/json.h"
#include "agent/sandbox/launch.h"
#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"

namespace weft::sandbox {

// Where the node's kubelet speaks from.
struct ProbeOrigin {
  std::string netns;   // of the node
  std::string cgroup;  // a v2 directory; a sandbox without it probes all the same
};

// What one probe of a container has seen. Owner: the container's record. Not kept over a restart of the
// daemon.
class Probe {
 public:
  // An eager probe tries often until it passes, for pods to be ready soon; where failing has a price
  // (liveness, startup) the period is kept.
  explicit Probe(bool eager = false) : eager_(eager) {}
  enum class Verdict : uint8_t { kNone, kPassed, kFailed };

  // Starts an attempt if one is due. `inside`: how to enter the container (exec probes); `origin` for the
  // others.
  void tick(const Json& spec, const base::SocketAddress& target, const Launch& inside,
            const ProbeOrigin& origin, base::Instant now);
  // True if `pid` was the running attempt.
  bool on_exit(pid_t pid, int status);
  // kPassed or kFailed once the threshold was met, and from then on until the other one is.
  [[nodiscard]] Verdict verdict() const { return verdict_; }
  [[nodiscard]] bool running() const { return pid_ > 0; }
  // When tick() has something to do next.
  [[nodiscard]] base::Instant due() const { return pid_ > 0 ? deadline_ : next_; }
  void reset();

 private:
  void count(const Json& spec, bool passed);

  bool eager_;
  pid_t pid_ = 0;
  bool finished_ = false, passed_ = false;  // of the attempt that has just ended
  uint32_t passes_ = 0, failures_ = 0;      // in a row
  Verdict verdict_ = Verdict::kNone;
  base::Instant next_{}, deadline_{};
};

// The address a probe speaks to: the pod's, with the port resolved by number or by a container port's name.
[[nodiscard]] base::SocketAddress probe_target(const Json& spec, const Json& container,
                                               const std::string& pod_ip);
[[nodiscard]] std::string probe_request(const Json& http_get, const base::SocketAddress& target);

}  // namespace weft::sandbox
