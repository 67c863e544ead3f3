#include "agent/certs/clerks.h"

#include <pthread.h>

namespace weft::certs {

void Clerks::ask(Ask ask) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(std::move(ask));
    if (waiting_.size() > idle_ && threads_.size() < most_) threads_.emplace_back([this] { work(); });
  }
  wake_.notify_one();
}

void Clerks::work() {
  pthread_setname_np(pthread_self(), "certs");
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    --idle_;
    if (stopping_) return;
    const Ask ask = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    done_(ask.id, client_.request(ask));
    lock.lock();
  }
}

void Clerks::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace weft::certs
