#pragma once
// How pods of a Kubernetes node come to the agent: new ones by weft-cni, running ones by /proc.
#include <memory>
#include <string>

#include "agent/cni/admission.h"
#include "agent/cni/keeper.h"
#include "agent/cni/rounds.h"
#include "agent/cni/sandbox_book.h"
#include "agent/cni/server.h"
#include "agent/enrol/enroller.h"
#include "agent/options.h"
#include "agent/procfs/pod_finder.h"
#include "agent/report/report.h"
#include "agent/source.h"

namespace weft::agent {

// Built when there is a CNI socket. Owned by the node role, in the loop's thread, with two threads of its
// own: one that keeps weft-cni installed and chained, one that reads /proc. Source and Enroller outlive it.
class PodEntrance final : private cni::PodJudge, private cni::Capturer {
 public:
  static base::Result<std::unique_ptr<PodEntrance>> create(base::Loop& loop, const Options& options,
                                                           Source& source, enrol::Enroller& enroller);
  ~PodEntrance() override;

  void start();
  void stop();  // nothing comes to the loop any more after the return
  // A build was applied, or some pod's state has changed.
  void changed() { admission_.look_again(); }
  void describe(Report& report) const;
  // The runtime asks us before a pod starts; also where somebody else sees to the runtime's configuration.
  [[nodiscard]] bool is_chained() const { return keeper_ == nullptr || kept_.chained; }

 private:
  PodEntrance(base::Loop& loop, const Options& options, Source& source, enrol::Enroller& enroller);
  base::Status build();

  [[nodiscard]] cni::Judgement judge(const cni::Request& sandbox) const override;
  [[nodiscard]] cni::Judgement judge_namespace(const std::string& ns) const override;
  void sandbox_is(const cni::Request& sandbox) override;
  void sandbox_gone(const cni::Request& sandbox) override;
  [[nodiscard]] bool is_armed(const cni::Request& sandbox) const override;
  [[nodiscard]] std::string why_not_armed(const cni::Request& sandbox) const override;

  void keep();  // in its thread
  void find();  // in its thread
  void take_found(base::Result<procfs::Found> found);
  void tell_source();

  base::Loop& loop_;
  const Options& options_;
  Source& source_;
  enrol::Enroller& enroller_;
  cni::SandboxBook book_;
  cni::Admission admission_;
  std::unique_ptr<cni::Server> server_;
  std::unique_ptr<cni::Keeper> keeper_;
  std::unique_ptr<cni::Rounds> keeping_, finding_;
  cni::KeeperReport kept_;
  procfs::Found found_;
  std::string find_problem_;
  int looks_left_ = 0;  // for sandboxes that were made without weft-cni
  bool telling_ = false;  // a rebuild is on its way
};

}  // namespace weft::agent
