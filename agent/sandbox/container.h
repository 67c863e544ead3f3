#pragma once
// One container of a pod: a process in the pod's cgroup, started again as restartPolicy says.
#include <sys/types.h>

#include <string>

#include "agent/sandbox/images.h"
#include "agent/sandbox/json.h"
#include "agent/sandbox/layout.h"
#include "agent/sandbox/probes.h"
#include "userspace-proxy/base/clock.h"

namespace weft::sandbox {

// What a container needs to know of its surroundings in one turn of the kubelet.
struct ContainerSetting {
  const Layout& layout;
  const ImageTable& images;
  const Json& pod;
  const Json& spec;  // of this container
  std::string log_file;
  base::Instant now;
};

// Owner: the kubelet's pod record. Thread: the daemon's. The parts that must outlive a daemon are in
// to_json().
class Container {
 public:
  enum class State : uint8_t { kWaiting, kRunning, kTerminated };

  Container(std::string name, bool init) : name_(std::move(name)), init_(init) {}
  static Container from_json(const Json& json);
  [[nodiscard]] Json to_json() const;

  // Starts, watches and restarts. `may_start`: the containers before it are through.
  void tick(const ContainerSetting& setting, bool may_start);
  // A reaped child of the daemon: true if it was this container's (main process or probe).
  bool on_exit(pid_t pid, int status, base::Instant now);
  // SIGTERM to the main process, once; no restart after it.
  void stop();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool init() const { return init_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool running() const { return state_ == State::kRunning; }
  [[nodiscard]] bool succeeded() const { return state_ == State::kTerminated && exit_code_ == 0; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uint32_t restarts() const { return restarts_; }
  // The entry of status.containerStatuses.
  [[nodiscard]] Json status(const Json& spec) const;
  // When the next tick() has something to do.
  [[nodiscard]] base::Instant due(base::Instant now) const;

 private:
  void start_process(const ContainerSetting& setting);
  void watch_process(const ContainerSetting& setting);
  void probe(const ContainerSetting& setting);
  void wait_with(const std::string& reason, const std::string& message, base::Instant next);
  void ended(int exit_code, const std::string& reason, base::Instant now);
  void plan_restart(const std::string& policy, base::Instant now);

  std::string name_;
  bool init_;
  State state_ = State::kWaiting;
  pid_t pid_ = 0;             // main process; 0: none
  uint64_t start_ticks_ = 0;  // with the pid it names the process for good
  bool adopted_ = false;      // started by a former daemon: its exit code cannot be known
  uint32_t restarts_ = 0;
  int exit_code_ = 0;
  std::string reason_ = "ContainerCreating", message_;
  std::string started_text_, finished_text_;
  bool stopping_ = false;
  bool started_ = false, ready_ = false;
  base::Instant running_since_{}, next_start_{};
  base::Nanos backoff_{};
  Probe startup_, readiness_{true}, liveness_;
};

}  // namespace weft::sandbox
