#pragma once
// Objects in, Snapshots out: the part of weft-agent that all roles share.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/kube/config.h"
#include "agent/options.h"
#include "agent/state/state.h"
#include "agent/state/status_sink.h"
#include "agent/watch/cluster.h"
#include "agent/watch/directory.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/base/timer.h"

namespace weft::agent {

// The API server that the options choose. REQUIRES: behind_api_server(options).
[[nodiscard]] base::Result<kube::Config> cluster_config(const Options& options);

// Owns one door of watch, and state: events of the watch's thread are folded in the loop's thread, statuses go where
// they belong, and `on_build` is told of every build after the first whole look at the objects. Statuses: behind a
// directory they are files; behind an API server only the role control writes them, by the sink it brings. Owner: a
// role. Thread: the loop's.
class Source {
 public:
  using OnBuild = std::function<void(const state::Build&)>;
  // `statuses`: null where this agent writes none, or files.
  static base::Result<std::unique_ptr<Source>> create(base::Loop& loop, const Options& options, OnBuild on_build,
                                                      std::unique_ptr<state::StatusSink> statuses = nullptr);
  ~Source();

  void start();
  // After the return no more events come; call before the loop dies.
  void stop();
  [[nodiscard]] uint64_t status_failures() const { return status_failures_; }
  // Role node: what is known of the sandboxes of its pods; builds anew.
  void set_sandboxes(state::SandboxFacts facts);
  // What the objects say by now.
  [[nodiscard]] const state::State& state() const { return state_; }
  // Role gateway, for the Gateways' statuses.
  void set_closed_ports(state::ClosedPorts ports);

  // Behind an API server: what keeps objects from coming, as sentences for a report's waiting_for.
  [[nodiscard]] std::vector<std::string> waiting_for() const;
  // The kinds as they stand, and counters; null behind a directory, which has none to show.
  [[nodiscard]] objects::Node describe() const;

 private:
  Source(base::Loop& loop, const Options& options, OnBuild on_build);
  base::Status open_directory(const Options& options);
  base::Status open_cluster(const Options& options);
  void receive(std::vector<watch::Event> events);
  void take();
  void build();
  state::Build write_statuses();

  base::Loop& loop_;
  const bool silent_;  // see Options
  state::State state_;
  std::unique_ptr<state::StatusSink> statuses_;  // null: none are written
  OnBuild on_build_;
  std::unique_ptr<watch::DirectoryWatch> directory_;  // one of the two
  std::unique_ptr<watch::ClusterWatch> cluster_;
  std::unique_ptr<base::Timer> pace_;
  std::unique_ptr<base::Timer> tidy_;
  base::Nanos rest_;  // between two builds
  uint64_t status_failures_ = 0;

  base::Mutex mutex_;
  std::vector<watch::Event> arrived_ GUARDED_BY(mutex_);  // not yet folded
  bool posted_ GUARDED_BY(mutex_) = false;
};

}  // namespace weft::agent
