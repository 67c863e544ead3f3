#include "agent/enrol/self_test_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "agent/enrol/self_test.h"

namespace weft::enrol {
namespace {

struct Test {
  int fd = -1;  // -1: this place is free
  uint64_t id = 0;
  int64_t deadline = 0;  // milliseconds
  bool connected = false;
  size_t got = 0;
  std::array<char, 16> answer{};
};

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// One helper process: a table of tests under way.
struct Helper {
  int socket;
  std::array<Test, kMaxSelfTests> tests{};

  void report(uint64_t id, SelfTestStage stage, int error) const {
    const SelfTestResult result{id, stage, error};
    // The agent reads whatever comes; if it is gone, the next poll says so.
    (void)!write(socket, &result, sizeof result);
  }

  void end(Test& test, SelfTestStage stage, int error) {
    report(test.id, stage, error);
    close(test.fd);
    test = Test{};
  }

  Test* free_place() {
    for (Test& test : tests)
      if (test.fd < 0) return &test;
    return nullptr;
  }

  void begin(const SelfTestRequest& request, int netns) {
    Test* test = free_place();
    if (test == nullptr) return report(request.id, SelfTestStage::kSocket, EBUSY);
    if (setns(netns, CLONE_NEWNET) != 0) return report(request.id, SelfTestStage::kEnter, errno);
    const int fd = ::socket(request.target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return report(request.id, SelfTestStage::kSocket, errno);
    *test = Test{.fd = fd, .id = request.id, .deadline = now_ms() + kSelfTestLimitMs};
    if (connect(fd, reinterpret_cast<const sockaddr*>(&request.target), request.target_length) != 0 &&
        errno != EINPROGRESS)
      end(*test, SelfTestStage::kConnect, errno);
  }

  void advance(Test& test) {
    if (!test.connected) {
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(test.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) return end(test, SelfTestStage::kConnect, error);
      test.connected = true;
      return;
    }
    const ssize_t n = read(test.fd, test.answer.data() + test.got, test.answer.size() - test.got);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return end(test, SelfTestStage::kRead, errno);
    test.got += static_cast<size_t>(n);
    if (n > 0 && test.got < test.answer.size()) return;
    const bool right = std::string_view(test.answer.data(), test.got) == kSelfTestAnswer;
    end(test, right ? SelfTestStage::kPassed : SelfTestStage::kWrongAnswer, 0);
  }

  // False when the agent is gone.
  bool receive() {
    SelfTestRequest request;
    iovec part{.iov_base = &request, .iov_len = sizeof request};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n != sizeof request) return n < 0 && errno == EINTR;
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS) return false;
    int netns;
    std::memcpy(&netns, CMSG_DATA(head), sizeof netns);
    begin(request, netns);
    close(netns);
    return true;
  }

  void expire() {
    const int64_t now = now_ms();
    for (Test& test : tests)
      if (test.fd >= 0 && now >= test.deadline) end(test, SelfTestStage::kTimeout, ETIMEDOUT);
  }

  bool turn() {
    std::array<pollfd, kMaxSelfTests + 1> polled{};
    polled[kMaxSelfTests] = {.fd = socket, .events = POLLIN};
    bool any = false;
    for (size_t i = 0; i < tests.size(); ++i) {
      polled[i] = {.fd = tests[i].fd, .events = static_cast<short>(tests[i].connected ? POLLIN : POLLOUT)};
      any = any || tests[i].fd >= 0;
    }
    poll(polled.data(), polled.size(), any ? 100 : -1);
    for (size_t i = 0; i < tests.size(); ++i)
      if (polled[i].revents != 0 && tests[i].fd >= 0) advance(tests[i]);
    expire();
    return polled[kMaxSelfTests].revents == 0 || receive();
  }
};

}  // namespace

void serve_self_tests(int socket) {
  Helper helper{.socket = socket};
  while (helper.turn()) continue;
  _exit(0);
}

}  // namespace weft::enrol
