#pragma once
// std::mutex with the annotations that clang's thread-safety analysis needs. Rare here: say what it guards.
#include <mutex>

#if defined(__clang__)
#define WEFT_ANNOTATE(x) __attribute__((x))
#else
#define WEFT_ANNOTATE(x)
#endif
#define GUARDED_BY(x) WEFT_ANNOTATE(guarded_by(x))
#define REQUIRES_LOCK(...) WEFT_ANNOTATE(requires_capability(__VA_ARGS__))

namespace weft::base {

class WEFT_ANNOTATE(capability("mutex")) Mutex {
 public:
  void lock() WEFT_ANNOTATE(acquire_capability()) { mutex_.lock(); }
  void unlock() WEFT_ANNOTATE(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class WEFT_ANNOTATE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) WEFT_ANNOTATE(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() WEFT_ANNOTATE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace weft::base
