#include "userspace-proxy/base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft::base {
namespace {
constexpr int kMaxEvents = 128;
}

Loop::Loop(const Clock& clock, Fd epoll, Fd mailbox_fd)
    : clock_(clock), epoll_(std::move(epoll)), mailbox_fd_(std::move(mailbox_fd)), timers_(clock), turn_time_(clock.now()) {}

Loop::~Loop() = default;

Result<std::unique_ptr<Loop>> Loop::create(const Clock& clock) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1");
  Fd mailbox(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!mailbox) return fail_errno("eventfd");
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, mailbox.get(), &event) != 0) return fail_errno("epoll_ctl");
  return std::unique_ptr<Loop>(new Loop(clock, std::move(epoll), std::move(mailbox)));
}

Status Loop::add(int fd, uint32_t events, IoHandler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll_ctl add");
  return {};
}

Status Loop::modify(int fd, uint32_t events, IoHandler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) return fail_errno("epoll_ctl mod");
  return {};
}

void Loop::remove(int fd, IoHandler* handler) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (dispatching_) removed_.push_back(handler);
}

void Loop::post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    mailbox_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(mailbox_fd_.get(), &one, sizeof one);
}

void Loop::stop() {
  stopping_ = true;
  post([] {});
}

void Loop::drain_mailbox() {
  uint64_t count;
  [[maybe_unused]] const ssize_t n = read(mailbox_fd_.get(), &count, sizeof count);
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(mutex_);
    tasks.swap(mailbox_);
  }
  for (auto& task : tasks) task();
}

void Loop::turn(int max_wait_ms) {
  int wait = timers_.wait_ms();
  if (wait < 0 || (max_wait_ms >= 0 && max_wait_ms < wait)) wait = max_wait_ms;
  const std::vector<IoHandler*> yielded = std::exchange(again_, {});
  if (!yielded.empty()) wait = 0;
  std::array<epoll_event, kMaxEvents> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kMaxEvents, wait);
  turn_time_ = clock_.now();
  dispatching_ = true;
  bool mail = false;
  for (int i = 0; i < count; ++i) {
    auto* handler = static_cast<IoHandler*>(events[i].data.ptr);
    if (handler == nullptr) {
      mail = true;
      continue;
    }
    if (!removed_.empty() && std::ranges::find(removed_, handler) != removed_.end()) continue;
    handler->on_io(events[i].events);
  }
  run_again(yielded);
  timers_.advance();
  if (mail) drain_mailbox();
  dispatching_ = false;
  removed_.clear();
  end_turn();
}

void Loop::run_again(const std::vector<IoHandler*>& handlers) {
  for (IoHandler* handler : handlers)
    if (std::ranges::find(removed_, handler) == removed_.end()) handler->on_io(0);
}

void Loop::end_turn() {
  // A handler may ask for others.
  for (size_t i = 0; i < turn_end_.size(); ++i) turn_end_[i]->on_turn_end();
  turn_end_.clear();
  // A destructor may retire more.
  while (!retired_.empty()) {
    auto dying = std::exchange(retired_, {});
    dying.clear();
  }
}

void Loop::run() {
  while (!stopping_) turn(-1);
}

}  // namespace weft::base
