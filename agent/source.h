#pragma once
// Objects in, Snapshots out: the part of weft-agent that both roles share.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/options.h"
#include "agent/state/state.h"
#include "agent/state/status_writer.h"
#include "agent/watch/directory.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/result.h"

namespace weft::agent {

// Owns watch and state: events of the watch's thread are folded in the loop's thread, statuses are written,
// and `on_build` is told of every build after the first whole look at the objects. Owner: a role. Thread: the
// loop's.
class Source {
 public:
  using OnBuild = std::function<void(const state::Build&)>;
  static base::Result<std::unique_ptr<Source>> create(base::Loop& loop, const Options& options,
                                                      OnBuild on_build);
  ~Source();

  void start() { watch_->start(); }
  // After the return no more events come; call before the loop dies.
  void stop() { watch_->stop(); }
  [[nodiscard]] uint64_t status_failures() const { return status_failures_; }
  // Role gateway, for the Gateways' statuses.
  void set_closed_ports(state::ClosedPorts ports);

 private:
  Source(base::Loop& loop, const Options& options, state::StatusWriter statuses, OnBuild on_build);
  void take(const std::vector<watch::Event>& events);
  state::Build write_statuses();

  base::Loop& loop_;
  const bool silent_;  // see Options
  state::State state_;
  state::StatusWriter statuses_;
  OnBuild on_build_;
  std::unique_ptr<watch::DirectoryWatch> watch_;
  uint64_t status_failures_ = 0;
};

}  // namespace weft::agent
