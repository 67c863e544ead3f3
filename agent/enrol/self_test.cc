#include "agent/enrol/self_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "agent/enrol/self_test_child.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/seqpacket.h"

namespace weft::enrol {
namespace {

std::string explain(const SelfTestResult& result) {
  const std::string why = std::generic_category().message(result.error);
  switch (result.stage) {
    case SelfTestStage::kPassed:
      return "";
    case SelfTestStage::kEnter:
      return "the helper could not enter the namespace: " + why;
    case SelfTestStage::kSocket:
      return "the helper could not make a socket: " + why;
    case SelfTestStage::kConnect:
      return "the self-test could not connect: " + why;
    case SelfTestStage::kRead:
      return "the self-test connected, then: " + why;
    case SelfTestStage::kWrongAnswer:
      return "somebody else than the proxy answered the self-test";
    case SelfTestStage::kTimeout:
      return "nobody answered the self-test";
  }
  return "the helper said something unknown";
}

// In the child: nothing that allocates or locks.
[[noreturn]] void become_helper(int procs_fd, int socket) {
  signal(SIGPIPE, SIG_IGN);
  if (write(procs_fd, "0", 1) != 1) _exit(1);
  // Everything but the socket and the standard streams belongs to the agent.
  dup2(socket, 3);
  syscall(SYS_close_range, 4u, ~0u, 0u);
  serve_self_tests(3);
}

}  // namespace

SelfTestHelper::SelfTestHelper(base::Loop& loop, std::string cgroup)
    : loop_(loop), cgroup_(std::move(cgroup)) {}

base::Result<std::unique_ptr<SelfTestHelper>> SelfTestHelper::create(base::Loop& loop,
                                                                     const std::string& cgroup) {
  if (mkdir(cgroup.c_str(), 0755) != 0 && errno != EEXIST) return base::fail_errno("make cgroup " + cgroup);
  std::unique_ptr<SelfTestHelper> helper(new SelfTestHelper(loop, cgroup));
  TRY(helper->spawn());
  return helper;
}

SelfTestHelper::~SelfTestHelper() {
  if (socket_) loop_.remove(socket_.get(), this);
  socket_.reset();  // the helper ends by itself
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
  rmdir(cgroup_.c_str());
}

base::Status SelfTestHelper::spawn() {
  const std::string procs = cgroup_ + "/cgroup.procs";
  base::Fd procs_fd(open(procs.c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs_fd) return base::fail_errno("open " + procs);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return base::fail_errno("socketpair");
  base::Fd ours(pair[0]), theirs(pair[1]);
  const pid_t pid = fork();
  if (pid < 0) return base::fail_errno("fork");
  if (pid == 0) become_helper(procs_fd.get(), theirs.get());
  pid_ = pid;
  socket_ = std::move(ours);
  return loop_.add(socket_.get(), EPOLLIN, this);
}

void SelfTestHelper::start(int netns_fd, const base::SocketAddress& target, SelfTestDone done) {
  const uint64_t id = ++last_id_;
  waiting_.emplace(id, std::move(done));
  if (!socket_) {
    if (auto spawned = spawn(); !spawned)
      return fail_soon(id, "no helper: " + base::describe(spawned.error()));
  }
  SelfTestRequest request{.id = id};
  request.target_length = target.to_sockaddr(&request.target);
  const base::Io io = base::send_packet(
      socket_.get(), {reinterpret_cast<const char*>(&request), sizeof request}, {&netns_fd, 1});
  if (io.kind != base::Io::Kind::kBytes) fail_soon(id, "the helper does not listen");
}

void SelfTestHelper::fail_soon(uint64_t id, std::string why) {
  loop_.post([this, id, why = std::move(why), alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) finish(id, why);
  });
}

void SelfTestHelper::finish(uint64_t id, const std::string& failure) {
  auto node = waiting_.extract(id);
  if (!node.empty()) node.mapped()(failure);
}

void SelfTestHelper::on_io(uint32_t) {
  base::Packet packet;
  while (true) {
    const base::Io io = base::receive_packet(socket_.get(), sizeof(SelfTestResult), 0, &packet);
    if (io.kind == base::Io::Kind::kWouldBlock) return;
    if (io.kind != base::Io::Kind::kBytes || packet.bytes.size() != sizeof(SelfTestResult))
      return helper_died();
    SelfTestResult result;
    std::memcpy(&result, packet.bytes.data(), sizeof result);
    finish(result.id, explain(result));
  }
}

void SelfTestHelper::helper_died() {
  spdlog::error("enrol: the self-test helper (pid {}) died; a new one is made", pid_);
  loop_.remove(socket_.get(), this);
  socket_.reset();
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  for (auto& [id, done] : std::exchange(waiting_, {})) done("the self-test's helper died");
}

}  // namespace weft::enrol
