#include "userspace-proxy/base/timer.h"

#include <algorithm>

namespace weft::base {

void Timer::arm(Nanos after) {
  cancel();
  due_tick_ = wheel_.tick_of(wheel_.clock_.now() + std::max(after, Nanos(0))) + 1;
  wheel_.link(*this);
}

void Timer::cancel() {
  if (armed()) wheel_.unlink(*this);
}

void TimerWheel::link(Timer& timer) {
  timer.due_tick_ = std::max(timer.due_tick_, done_tick_ + 1);
  Timer*& head = slots_[timer.due_tick_ % kSlots];
  timer.next_ = head;
  timer.prev_ = &head;
  if (head != nullptr) head->prev_ = &timer.next_;
  head = &timer;
  ++armed_;
}

void TimerWheel::unlink(Timer& timer) {
  *timer.prev_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->prev_ = timer.prev_;
  timer.prev_ = nullptr;
  timer.next_ = nullptr;
  --armed_;
}

void TimerWheel::run_slot(uint64_t tick) {
  // An action may arm or cancel any timer of this slot, so the search restarts after each call.
  for (bool fired = true; fired;) {
    fired = false;
    for (Timer* timer = slots_[tick % kSlots]; timer != nullptr; timer = timer->next_) {
      if (timer->due_tick_ > tick) continue;
      unlink(*timer);
      timer->action_();
      fired = true;
      break;
    }
  }
}

void TimerWheel::advance() {
  const uint64_t now = tick_of(clock_.now());
  if (armed_ == 0 || now <= done_tick_) {
    done_tick_ = std::max(done_tick_, now);
    return;
  }
  // After a long sleep one full round visits every slot.
  const uint64_t first = now - done_tick_ > kSlots ? now - kSlots + 1 : done_tick_ + 1;
  for (uint64_t tick = first; tick <= now; ++tick) {
    // due_tick_ <= tick covers timers of earlier rounds; slots are visited in order.
    done_tick_ = tick;
    run_slot(tick);
  }
}

int TimerWheel::wait_ms() const {
  if (armed_ == 0) return -1;
  const uint64_t now = tick_of(clock_.now());
  for (uint64_t tick = done_tick_ + 1; tick <= done_tick_ + kSlots; ++tick) {
    if (slots_[tick % kSlots] == nullptr) continue;
    if (tick <= now) return 0;
    return static_cast<int>((tick - now) * static_cast<uint64_t>(kTick / Millis(1)));
  }
  return static_cast<int>(kTick / Millis(1));
}

}  // namespace weft::base
