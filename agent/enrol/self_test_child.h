#pragma once
// The helper's side: what runs after the fork.
#include <sys/socket.h>

#include <cstdint>

namespace weft::enrol {

struct SelfTestRequest {  // the namespace comes beside it
  uint64_t id = 0;
  sockaddr_storage target{};
  socklen_t target_length = 0;
};

enum class SelfTestStage : uint32_t { kPassed, kEnter, kSocket, kConnect, kRead, kWrongAnswer, kTimeout };

struct SelfTestResult {
  uint64_t id = 0;
  SelfTestStage stage = SelfTestStage::kPassed;
  int32_t error = 0;  // errno of the stage
};

inline constexpr int kMaxSelfTests = 64;  // at a time
inline constexpr int kSelfTestLimitMs = 2000;

// Serves requests from `socket` until the agent closes it. Allocates nothing and takes no lock: the process
// was forked from one with threads.
[[noreturn]] void serve_self_tests(int socket);

}  // namespace weft::enrol
