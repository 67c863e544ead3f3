#include "agent/state/api_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace weft::state {

ApiQueue::ApiQueue(const base::Clock& clock, ApiQueueOptions options)
    : clock_(clock), options_(options), tokens_(options.burst), filled_(clock.now()) {
  thread_ = std::thread([this] { run(); });
}

ApiQueue::~ApiQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ApiQueue::put(const std::string& name, Work work) {
  {
    const std::lock_guard lock(mutex_);
    const auto [there, fresh] = work_.insert_or_assign(name, std::move(work));
    if (fresh) order_.push_back(name);
  }
  wake_.notify_all();
}

void ApiQueue::drop(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (work_.erase(name) > 0) std::erase(order_, name);
  dropped_ |= running_ == name;
}

void ApiQueue::clear() {
  const std::lock_guard lock(mutex_);
  work_.clear();
  order_.clear();
  dropped_ = true;
}

size_t ApiQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return work_.size();
}

// How long until one more may be done; 0: now, and it is counted.
base::Nanos ApiQueue::take_token(base::Instant now) {
  using Seconds = std::chrono::duration<double>;
  tokens_ = std::min(options_.burst, tokens_ + options_.per_second * Seconds(now - filled_).count());
  filled_ = now;
  // Never 0: that would count as leave.
  if (tokens_ < 1)
    return std::chrono::duration_cast<base::Nanos>(Seconds((1 - tokens_) / options_.per_second)) + base::Nanos(1);
  tokens_ -= 1;
  return base::Nanos(0);
}

// False: the end.
bool ApiQueue::wait_for_work(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    if (order_.empty()) {
      wake_.wait(lock, [this] { return stopping_ || !order_.empty(); });
      continue;
    }
    base::Nanos pause = std::exchange(pause_, base::Nanos(0));
    if (pause == base::Nanos(0)) pause = take_token(clock_.now());
    if (pause == base::Nanos(0)) return true;
    wake_.wait_for(lock, pause, [this] { return stopping_; });
  }
  return false;
}

void ApiQueue::run() {
  base::Nanos retry = options_.retry_first;
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) {
    if (order_.empty()) continue;  // dropped while the token was waited for
    running_ = std::move(order_.front());
    order_.pop_front();
    auto node = work_.extract(running_);
    dropped_ = false;
    lock.unlock();
    const ApiOutcome outcome = node.mapped()();
    lock.lock();
    const std::string name = std::exchange(running_, {});
    if (outcome == ApiOutcome::kDone) {
      retry = options_.retry_first;
      continue;
    }
    // What was put meanwhile is newer.
    if (!dropped_ && work_.insert(std::move(node)).inserted) order_.push_back(name);
    pause_ = outcome == ApiOutcome::kForbidden ? options_.retry_forbidden : retry;
    retry = std::min(retry * 2, options_.retry_most);
  }
}

}  // namespace weft::state
