#include "agent/sandbox/container.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "agent/procfs/process.h"
#include "agent/sandbox/files.h"
#include "agent/sandbox/names.h"
#include "agent/sandbox/pod_spec.h"

namespace weft::sandbox {
namespace {

using base::Millis;
using std::chrono::seconds;

constexpr base::Nanos kMaxBackoff = seconds(30);
constexpr base::Nanos kGoodRun = seconds(10);      // a run this long clears the back-off
constexpr base::Nanos kSettling = Millis(100);     // without a probe: running this long is ready
constexpr base::Nanos kAdoptedPoll = Millis(200);  // an adopted process sends no SIGCHLD

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// With the pid it names the process for good; 0: it has ended.
uint64_t start_of(pid_t pid) {
  return procfs::find_process(pid).value_or(procfs::ProcessKey{}).started;
}

}  // namespace

Container Container::from_json(const Json& json) {
  Container container(text_at(json, "name"), bool_at(json, "init"));
  container.pid_ = static_cast<pid_t>(int_at(json, "pid"));
  container.start_ticks_ = static_cast<uint64_t>(int_at(json, "startTicks"));
  container.restarts_ = static_cast<uint32_t>(int_at(json, "restarts"));
  container.exit_code_ = static_cast<int>(int_at(json, "exitCode"));
  container.reason_ = text_at(json, "reason");
  container.message_ = text_at(json, "message");
  container.started_text_ = text_at(json, "startedAt");
  container.finished_text_ = text_at(json, "finishedAt");
  const std::string state = text_at(json, "state");
  container.state_ = state == "running"      ? State::kRunning
                     : state == "terminated" ? State::kTerminated
                                             : State::kWaiting;
  container.adopted_ = container.running();
  return container;
}

Json Container::to_json() const {
  static constexpr const char* kStates[] = {"waiting", "running", "terminated"};
  return Json{{"name", name_},
              {"init", init_},
              {"pid", pid_},
              {"startTicks", start_ticks_},
              {"restarts", restarts_},
              {"exitCode", exit_code_},
              {"reason", reason_},
              {"message", message_},
              {"startedAt", started_text_},
              {"finishedAt", finished_text_},
              {"state", kStates[static_cast<size_t>(state_)]}};
}

void Container::tick(const ContainerSetting& setting, bool may_start) {
  if (running()) watch_process(setting);
  if (running()) probe(setting);
  if (state_ == State::kTerminated)
    plan_restart(text_at(setting.pod, "spec.restartPolicy", "Always"), setting.now);
  if (state_ == State::kWaiting && may_start && !stopping_ && setting.now >= next_start_)
    start_process(setting);
}

void Container::wait_with(const std::string& reason, const std::string& message, base::Instant next) {
  state_ = State::kWaiting;
  reason_ = reason;
  message_ = message;
  next_start_ = next;
}

void Container::start_process(const ContainerSetting& setting) {
  const std::string image_name = text_at(setting.spec, "image");
  const Image* image = setting.images.find(image_name);
  if (image == nullptr) {
    // The first look says ErrImagePull, the later ones that nothing has changed.
    const bool again = reason_ == "ErrImagePull" || reason_ == "ImagePullBackOff";
    wait_with(again ? "ImagePullBackOff" : "ErrImagePull",
              fmt::format("image \"{}\" is not in the sandbox's table (known: {}); give it a program with "
                          "`weftctl sandbox up --image NAME=COMMAND`",
                          image_name, join(setting.images.names())),
              setting.now + (again ? base::Nanos(seconds(30)) : base::Nanos(seconds(2))));
    return;
  }
  auto launch = container_launch(setting.layout, setting.pod, setting.spec);
  if (!launch)
    return wait_with("CreateContainerConfigError", base::describe(launch.error()), setting.now + seconds(5));
  launch->argv = container_argv(*image, setting.spec, *launch->env);
  launch->cgroup = pod_cgroup(setting.layout, setting.pod) + "/" + name_;
  if (auto made = make_directories(launch->cgroup); !made)
    return wait_with("CreateContainerError", base::describe(made.error()), setting.now + seconds(5));
  base::Fd log(::open(setting.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  launch->output = log.get();
  launch->detach = true;
  auto pid = start(*launch);
  if (!pid) {
    exit_code_ = 128;
    ++restarts_;
    backoff_ = std::clamp<base::Nanos>(backoff_ * 2, seconds(1), kMaxBackoff);
    return wait_with("RunContainerError", base::describe(pid.error()), setting.now + backoff_);
  }
  pid_ = *pid;
  start_ticks_ = start_of(pid_);
  adopted_ = false;
  state_ = State::kRunning;
  reason_.clear();
  message_.clear();
  started_text_ = now_text();
  running_since_ = setting.now;
  started_ = ready_ = false;
  for (Probe* probe : {&startup_, &readiness_, &liveness_}) probe->reset();
}

void Container::watch_process(const ContainerSetting& setting) {
  if (running_since_ == base::Instant{}) running_since_ = setting.now - kSettling;
  if (!adopted_) return;
  if (pid_ <= 0 || start_of(pid_) != start_ticks_) ended(255, "ContainerStatusUnknown", setting.now);
}

void Container::probe(const ContainerSetting& setting) {
  const std::string node = text_at(setting.pod, "spec.nodeName");
  const ProbeOrigin origin{setting.layout.netns(node), setting.layout.kubelet(node)};
  const std::string pod_ip = text_at(setting.pod, "status.podIP");
  auto look = [&](Probe& probe, const char* field) {
    const Json& spec = at(setting.spec, field);
    if (!spec.is_object()) return Probe::Verdict::kPassed;
    auto inside = container_launch(setting.layout, setting.pod, setting.spec);
    if (!inside) return probe.verdict();
    inside->cgroup = pod_cgroup(setting.layout, setting.pod) + "/" + name_;
    probe.tick(spec, probe_target(spec, setting.spec, pod_ip), *inside, origin, setting.now);
    return probe.verdict();
  };
  if (!started_) {
    const auto verdict = look(startup_, "startupProbe");
    if (verdict == Probe::Verdict::kFailed) ::kill(pid_, SIGKILL);
    started_ = verdict == Probe::Verdict::kPassed && setting.now - running_since_ >= kSettling;
  }
  if (!started_) return;
  ready_ = look(readiness_, "readinessProbe") == Probe::Verdict::kPassed;
  if (look(liveness_, "livenessProbe") != Probe::Verdict::kFailed) return;
  ready_ = false;
  message_ = "liveness probe failed";
  ::kill(pid_, SIGKILL);
}

bool Container::on_exit(pid_t pid, int status, base::Instant now) {
  for (Probe* probe : {&startup_, &readiness_, &liveness_})
    if (probe->on_exit(pid, status)) return true;
  if (pid_ <= 0 || pid != pid_) return false;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ended(code, code == 0 ? "Completed" : "Error", now);
  return true;
}

void Container::ended(int exit_code, const std::string& reason, base::Instant now) {
  if (now - running_since_ >= kGoodRun) backoff_ = {};
  state_ = State::kTerminated;
  pid_ = 0;
  exit_code_ = exit_code;
  reason_ = reason;
  finished_text_ = now_text();
  ready_ = started_ = false;
  for (Probe* probe : {&startup_, &readiness_, &liveness_}) probe->reset();
}

void Container::plan_restart(const std::string& policy, base::Instant now) {
  const bool again = init_ ? exit_code_ != 0 && policy != "Never"
                           : policy == "Always" || (policy == "OnFailure" && exit_code_ != 0);
  if (!again || stopping_) return;
  ++restarts_;
  const bool at_once = backoff_ == base::Nanos{};
  const std::string last =
      fmt::format("last exit code {}{}", exit_code_, message_.empty() ? "" : ": " + message_);
  wait_with(at_once ? "Restarting" : "CrashLoopBackOff", last, now + backoff_);
  backoff_ = at_once ? base::Nanos(seconds(1)) : std::min<base::Nanos>(backoff_ * 2, kMaxBackoff);
}

void Container::stop() {
  if (stopping_) return;
  stopping_ = true;
  for (Probe* probe : {&startup_, &readiness_, &liveness_}) probe->reset();
  if (running() && start_of(pid_) == start_ticks_) ::kill(pid_, SIGTERM);
}

Json Container::status(const Json& spec) const {
  Json out{{"name", name_},       {"image", text_at(spec, "image")},
           {"imageID", ""},       {"ready", init_ ? succeeded() : ready_},
           {"started", started_}, {"restartCount", restarts_}};
  if (pid_ > 0) out["containerID"] = fmt::format("sandbox://{}", pid_);
  if (state_ == State::kRunning) out["state"]["running"]["startedAt"] = started_text_;
  if (state_ == State::kWaiting) {
    out["state"]["waiting"]["reason"] = reason_;
    if (!message_.empty()) out["state"]["waiting"]["message"] = message_;
  }
  if (state_ == State::kTerminated)
    out["state"]["terminated"] = {{"exitCode", exit_code_},
                                  {"reason", reason_},
                                  {"startedAt", started_text_},
                                  {"finishedAt", finished_text_}};
  return out;
}

base::Instant Container::due(base::Instant now) const {
  if (state_ == State::kWaiting) return stopping_ ? base::Instant::max() : std::max(next_start_, now);
  if (state_ == State::kTerminated) return base::Instant::max();
  base::Instant when = adopted_ ? now + kAdoptedPoll : base::Instant::max();
  if (!started_) when = std::min(when, std::max(running_since_ + kSettling, now));
  for (const Probe* probe : {&startup_, &readiness_, &liveness_})
    if (probe->due() != base::Instant{}) when = std::min(when, std::max(probe->due(), now));
  return when;
}

}  // namespace weft::sandbox
