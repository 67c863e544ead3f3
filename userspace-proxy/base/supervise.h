#pragma once
#include <functional>

namespace weft::base {

// Runs `work` in a child process, and anew at once when a signal ends it (a fault, the OOM killer, kill -9).
// A container goes on meanwhile: its pod stays ready and in its Services, where a restart by kubelet takes it
// out, and waits 10 s and more from the second one on (pod-lifecycle "Container restarts"). More than
// kMostCrashes within kCrashWindow are kubelet's affair again.
//
// In the child: ends the process with what `work` returns. In the parent: the child's status once it ends by
// itself, or 128 plus the signal. SIGTERM and SIGINT are passed on, and what ends after them is not started
// again. The child dies with its parent. Call it before the first thread.
inline constexpr int kMostCrashes = 5;
inline constexpr int kCrashWindowSeconds = 60;
[[nodiscard]] int supervise(const std::function<int()>& work);

}  // namespace weft::base
