#pragma once
// Whether a node captures its pods, as its Node object shall say: condition weft.mesh/CaptureReady, and the
// start-up taint that goes with it. Pure.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/node.h"
#include "userspace-proxy/base/clock.h"

namespace weft::nodes {

inline constexpr std::string_view kCondition = "weft.mesh/CaptureReady";
inline constexpr std::string_view kTaint = "weft.mesh/agent-not-ready";
inline constexpr std::string_view kManager = "weft-control";  // fieldManager of both

// What becomes of the taint: left alone; taken away from a node that captures (an administrator's kubelet
// registers its node with it); or put back as well, when that ends.
enum class TaintMode : uint8_t { kOff, kRemove, kManage };
[[nodiscard]] std::optional<TaintMode> parse_taint_mode(std::string_view word);  // "off", "remove", "manage"
enum class TaintChange : uint8_t { kNone, kRemove, kAdd };

struct NodeFact {
  std::string name, boot_id, resource_version;
  bool linux = true;  // label kubernetes.io/os: agents run nowhere else
  // The condition as the object has it; status empty: it has none.
  std::string status, reason, message, transition;
  std::vector<objects::Node> taints;  // all of them, as they stand
  [[nodiscard]] bool tainted() const;
};
[[nodiscard]] NodeFact node_fact(const objects::Node& node);

struct AgentFact {
  std::string pod, node, armed;  // armed: objects::kArmedAnnotation
  bool running = false;          // its container runs, and the pod is not being deleted
};
[[nodiscard]] AgentFact agent_fact(const objects::Node& pod);

struct Verdict {
  bool ready = false;
  std::string reason, message;  // one word; a sentence with what to do
  bool operator==(const Verdict&) const = default;
};
// Of this moment. What was said in another boot counts for nothing: neither hooks nor pods' namespaces
// outlive one.
[[nodiscard]] Verdict judge(const NodeFact& node, const std::vector<AgentFact>& agents);

// A node over time: an agent that changes (upgrade, crash) leaves its programs attached, and whoever starts
// meanwhile waits for the next one; so the condition falls only after kGrace. Another boot, or an agent that
// says itself that it does not guard its node, counts at once.
class NodeCapture {
 public:
  static constexpr base::Nanos kGrace = std::chrono::seconds(15);
  static constexpr base::Nanos kAgentGone =
      std::chrono::seconds(60);  // until the taint is put back in the same boot

  // What the condition shall say.
  const Verdict& update(const NodeFact& node, const Verdict& now, base::Instant at);
  [[nodiscard]] const Verdict& said() const { return said_; }
  [[nodiscard]] TaintChange taint_change(const NodeFact& node, TaintMode mode, base::Instant at) const;

 private:
  Verdict said_;
  std::string boot_;  // in which it was ready last; empty: never that we know
  std::optional<base::Instant> gone_since_;
};

[[nodiscard]] bool says(const NodeFact& node, const Verdict& verdict);
// The condition as server-side apply takes it. `now`: RFC 3339; the time of the transition where the status
// changes.
[[nodiscard]] objects::Node condition_patch(const NodeFact& node, const Verdict& verdict,
                                            const std::string& now);
// RFC 7396; refused by the server (409) if the node has changed meanwhile: taints of others are in the same
// list. REQUIRES: not kNone.
[[nodiscard]] objects::Node taints_patch(const NodeFact& node, TaintChange change);

}  // namespace weft::nodes
