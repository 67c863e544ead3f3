#pragma once
// Proof of capture: a process that is no part of weft connects, from inside a pod, to an address that only
// the proxy answers for. If a hook, the link, the rule or the route is missing, nobody answers "weft\n".
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/loop.h"

namespace weft::enrol {

inline constexpr std::string_view kSelfTestAnswer = "weft\n";

// Empty: passed. Else why not, as a sentence.
using SelfTestDone = std::function<void(const std::string& failure)>;

class SelfTester {
 public:
  virtual ~SelfTester() = default;
  // `done` is called once, in the loop's thread, within a few seconds; never from within start().
  virtual void start(int netns_fd, const base::SocketAddress& target, SelfTestDone done) = 0;
};

// Keeps one forked helper in a cgroup that the hooks do see and hands it one namespace after the other. A
// helper that dies fails the tests it had and is replaced. Owned by main, in the thread of `loop`, which
// outlives it.
class SelfTestHelper final : public SelfTester, private base::IoHandler {
 public:
  // `cgroup`: a directory below the pods' cgroup, made if it is not there.
  static base::Result<std::unique_ptr<SelfTestHelper>> create(base::Loop& loop, const std::string& cgroup);
  ~SelfTestHelper() override;
  void start(int netns_fd, const base::SocketAddress& target, SelfTestDone done) override;

 private:
  SelfTestHelper(base::Loop& loop, std::string cgroup);
  base::Status spawn();
  void on_io(uint32_t events) override;
  void fail_soon(uint64_t id, std::string why);
  void finish(uint64_t id, const std::string& failure);
  void helper_died();

  base::Loop& loop_;
  const std::string cgroup_;
  pid_t pid_ = -1;
  base::Fd socket_;  // to the helper; -1 while there is none
  uint64_t last_id_ = 0;
  std::map<uint64_t, SelfTestDone> waiting_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace weft::enrol
