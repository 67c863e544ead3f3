#pragma once
#include <memory>
#include <string>

#include "agent/enrol/enroller.h"

namespace weft::enrol {

// One pod and its rounds: arming until it works, repairs, self-tests, leaving. Owned by the Enroller, in its
// thread.
class PodKeeper final : public base::Retirable, private base::IoHandler {
 public:
  PodKeeper(Enroller& owner, std::unique_ptr<PodNetns> netns, const DesiredPod& desired, bool inherited);
  ~PodKeeper() override;

  // Everything that is due; called a few times a second.
  void tick(base::Instant now);
  void update(const DesiredPod& desired);
  // Its stock is kept filled until it is gone: what was captured before may still have to be dialled.
  void release();
  void abandon() { pod_.abandon(); }
  void proxy_changed() { next_test_ = {}; }
  // Something that captures was gone for a while: not captured, for this reason, until a test passes anew.
  void doubt(const std::string& why);

  [[nodiscard]] const Pod& pod() const { return pod_; }
  [[nodiscard]] PodNetns& netns() { return pod_.netns(); }
  // Its namespace is not where it was: the sandbox was made anew, or the pod has ended.
  [[nodiscard]] bool lost() const { return lost_; }
  [[nodiscard]] PodStatus status() const;

 private:
  // Of one address family.
  struct Proof {
    model::Family family = model::Family::kV4;
    bool running = false;
    bool passed = false;
    std::string failure;  // of the last test; empty before the first
  };

  void on_io(uint32_t events) override;
  void arm(base::Instant now);
  void check(base::Instant now);
  void test(base::Instant now);
  void start_test(Proof& proof);
  void finish_test(model::Family family, const std::string& failure);
  void look_at_pre_mesh(base::Instant now);
  void end_pre_mesh(base::Instant now);
  void recall_pre_mesh();
  void remember_pre_mesh();
  void note_memory(const base::Status& status);
  void note(const base::Status& status, const char* what);

  Enroller& owner_;
  base::Loop& loop_;  // outlives the owner, who may be gone when this one is freed
  Pod pod_;
  std::string trouble_;  // why arming or the last repair failed; empty: it did not
  std::vector<Proof> proofs_;
  PreMeshConnections pre_mesh_;
  bool pre_mesh_taken_;  // of this enrolment; an earlier agent's pods are not asked any more
  bool pre_mesh_remembered_ = false;  // the agent after this one finds them
  base::Instant enrolled_at_{};  // when it was armed first, in this enrolment; zero: not yet
  bool lost_ = false;
  bool dirty_ = false;  // something changed in the namespace
  base::Instant next_arm_{}, next_check_{}, next_thorough_{}, next_test_{}, next_finish_{}, next_look_{}, next_end_{};
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace weft::enrol
