#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/base/timer.h"

namespace weft::base {

// Called by the loop when its descriptor is ready. `events` are EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  virtual void on_io(uint32_t events) = 0;
};

// Anything whose death must wait for the end of the loop turn: an object never dies inside its own callback.
class Retirable {
 public:
  virtual ~Retirable() = default;
};

// Called once, after the events and timers of the turn in which it was asked for: the place to write out at one
// stroke what many events of the turn have piled up.
class TurnEndHandler {
 public:
  virtual ~TurnEndHandler() = default;
  virtual void on_turn_end() = 0;
};

// One epoll set, one timer wheel, one mailbox. Everything but post() and stop() belongs to the thread that runs it.
class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create(const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // `handler` must outlive the registration. Events are passed to epoll as given (add EPOLLET or EPOLLEXCLUSIVE).
  Status add(int fd, uint32_t events, IoHandler* handler);
  Status modify(int fd, uint32_t events, IoHandler* handler);
  // After remove() no further call reaches `handler` for this fd, not even in the same turn.
  void remove(int fd, IoHandler* handler);

  // Runs `task` in the loop's thread, in the next turn. The only way in from another thread.
  void post(std::function<void()> task);
  // Frees `object` at the end of this turn.
  void retire(std::unique_ptr<Retirable> object) { retired_.push_back(std::move(object)); }

  // `handler` must live until the end of the turn; whatever is retired does.
  void at_turn_end(TurnEndHandler* handler) { turn_end_.push_back(handler); }

  // Calls handler->on_io(0) in the next turn, which does not wait: for one who yields with work left, so that a busy
  // connection does not starve the others. forget() takes it back; a handler that dies must.
  void again(IoHandler* handler) { again_.push_back(handler); }
  void forget(IoHandler* handler) { std::erase(again_, handler); }

  void run();                    // until stop()
  void turn(int max_wait_ms);    // one turn; tests drive the loop with it
  void stop();

  [[nodiscard]] TimerWheel& timers() { return timers_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  // Time at the start of this turn: cheap, good enough for idle times and log stamps.
  [[nodiscard]] Instant turn_time() const { return turn_time_; }

 private:
  Loop(const Clock& clock, Fd epoll, Fd mailbox_fd);
  void drain_mailbox();
  void run_again(const std::vector<IoHandler*>& handlers);
  void end_turn();

  const Clock& clock_;
  Fd epoll_;
  Fd mailbox_fd_;
  TimerWheel timers_;
  Instant turn_time_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::unique_ptr<Retirable>> retired_;
  std::vector<TurnEndHandler*> turn_end_;
  std::vector<IoHandler*> again_;
  std::vector<IoHandler*> removed_;  // handlers removed in this turn: their pending events are dropped
  bool dispatching_ = false;

  Mutex mutex_;
  std::vector<std::function<void()>> mailbox_ GUARDED_BY(mutex_);
};

}  // namespace weft::base
