#include "userspace-proxy/base/supervise.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>

namespace weft::base {
namespace {

using Clock = std::chrono::steady_clock;

// Whether so many came lately that starting anew at once helps nobody.
class Crashes {
 public:
  bool too_many(Clock::time_point now) {
    times_.push_back(now);
    while (now - times_.front() > std::chrono::seconds(kCrashWindowSeconds)) times_.pop_front();
    return times_.size() > kMostCrashes;
  }

 private:
  std::deque<Clock::time_point> times_;
};

struct Before {
  pid_t self = getpid();
  sigset_t mask{};
  std::array<char, 16> name{};  // of the process, as /proc and `top` show it
};

[[noreturn]] void run_child(const std::function<int()>& work, const Before& parent) {
  prctl(PR_SET_NAME, parent.name.data());
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent.self) std::_Exit(1);  // it died before it could be told
  sigprocmask(SIG_SETMASK, &parent.mask, nullptr);
  std::exit(work());
}

// The child's wait status. `told`: whether it was asked to end.
int wait_for(pid_t child, const sigset_t& waited, bool* told) {
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return status;
    siginfo_t info{};
    const int signal = sigwaitinfo(&waited, &info);
    if (signal != SIGTERM && signal != SIGINT) continue;
    *told = true;
    kill(child, signal);
  }
}

}  // namespace

int supervise(const std::function<int()>& work) {
  Before before;
  sigset_t waited;
  sigemptyset(&waited);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&waited, signal);
  sigprocmask(SIG_BLOCK, &waited, &before.mask);
  prctl(PR_GET_NAME, before.name.data());
  prctl(PR_SET_NAME, "weft-supervise");
  bool told = false;
  for (Crashes crashes;;) {
    const pid_t child = fork();
    if (child == 0) run_child(work, before);
    if (child < 0) {
      std::fprintf(stderr, "supervise: fork: errno %d\n", errno);
      return 1;
    }
    const int status = wait_for(child, waited, &told);
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    const int signal = WTERMSIG(status);
    const bool give_up = told || crashes.too_many(Clock::now());
    std::fprintf(stderr, "supervise: ended by signal %d; %s\n", signal,
                 give_up ? "not started again" : "started again");
    if (give_up) return 128 + signal;
  }
}

}  // namespace weft::base
