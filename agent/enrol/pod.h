#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/enrol/pod_kernel.h"
#include "agent/enrol/pod_netns.h"
#include "agent/objects/pre_mesh_policy.h"
#include "agent/publish/outlet.h"

namespace weft::enrol {

// A pod that shall be captured: Snapshot, sandbox and kernel tables in one.
struct DesiredPod {
  std::string name;        // "ns/name"
  std::string netns_path;  // empty: not known yet
  weft_pod entry{};        // without the flags of the moment, ENROLLED and MARKING
  objects::PreMeshPolicy pre_mesh = {};  // what becomes of its connections of before
};

/*
 * Arming, each step in place before anything points at it; disarming in reverse.
 *
 *   kOpened -> kListening -> kLinked -> kRouted -> kRuled -> kArmed      arm(); a failure stays where it is
 *      ^          ^             ^          ^                   |
 *      '----------'-------------'----------'-- fall_back() ----+         check(): what is gone and cannot be
 * mended
 *                                                              v
 *   kGone <------------------------------------------- kLingering        release(); established connections
 * still need rule and route
 */
enum class Step : uint8_t { kOpened, kListening, kLinked, kRouted, kRuled, kArmed, kLingering, kGone };
[[nodiscard]] std::string_view name_of(Step step);

// What was found missing behind our back and put back.
enum class Repair : uint8_t { kEntry, kListener, kLink, kRoute, kRule, kNamespace };
inline constexpr size_t kRepairs = 6;
[[nodiscard]] std::string_view name_of(Repair repair);
using RepairCounts = std::array<uint64_t, kRepairs>;

// One namespace of one pod on its way into and out of the mesh. Owned by the Enroller, in its thread. Its
// death leaves everything in the kernel as it is: an agent that ends is not a pod that leaves.
class Pod {
 public:
  // `inherited`: an earlier agent armed it, hooks are at work; nothing is switched off on the way.
  Pod(PodKernel& kernel, publish::Outlet& outlet, std::unique_ptr<PodNetns> netns, DesiredPod desired,
      bool inherited);
  Pod(const Pod&) = delete;
  Pod& operator=(const Pod&) = delete;

  // As far as it goes towards kArmed. Call again after a failure.
  base::Status arm();
  // The pod's declared attributes, or its place in the tables, may have changed; a lingering pod comes
  // back. arm() next.
  base::Status update(const DesiredPod& desired);
  // Capture ends now; what is needed by established connections stays.
  base::Status release();
  // The rest, once no connection needs it any more. True when the pod is gone.
  bool finish();
  // The rest at once: the pod has ended.
  void abandon();
  // Puts back what is missing. `thorough` asks the namespace too, not just the kernel tables.
  base::Status check(bool thorough, RepairCounts& repairs);

  [[nodiscard]] Step step() const { return step_; }
  // Its namespace is still where the sandbox said; one that nobody named stays until its connections end.
  [[nodiscard]] bool is_in_place() const {
    return desired_.netns_path.empty() || netns_->is_at(desired_.netns_path);
  }
  // The file at `path` is its namespace, under whatever name it was opened.
  [[nodiscard]] bool netns_is(const std::string& path) const { return netns_->is_at(path); }
  [[nodiscard]] const DesiredPod& desired() const { return desired_; }
  [[nodiscard]] const model::PodKey& key() const { return key_; }
  [[nodiscard]] PodNetns& netns() { return *netns_; }
  [[nodiscard]] const std::vector<model::Family>& families() const { return families_; }
  [[nodiscard]] base::Address address(model::Family family) const;

 private:
  // One listener and its place in the sockmap, from the pod's first slot.
  struct Listener {
    model::ListenerKey key;
    uint32_t offset;
    publish::SharedFd socket;
  };

  base::Status advance();
  base::Status open_listeners();
  base::Status put_listeners();
  base::Status link();
  base::Status add_routes();
  base::Status add_rules();
  base::Status put_entry(uint32_t moment_flags);
  base::Status check_tables(RepairCounts& repairs);
  base::Status check_namespace(RepairCounts& repairs);
  // Marking off, so that the pod's declared fail mode decides, and back to `step` of arming.
  base::Status fall_back(Step step, base::Status why);
  void enter(Step step);

  PodKernel& kernel_;
  publish::Outlet& outlet_;
  std::unique_ptr<PodNetns> netns_;
  DesiredPod desired_;
  const model::PodKey key_;
  std::vector<model::Family> families_;  // that the pod has addresses of
  std::vector<Listener> listeners_;
  Step step_ = Step::kOpened;
  uint32_t moment_flags_ = 0;  // ENROLLED and MARKING as they stand in the kernel
};

}  // namespace weft::enrol
