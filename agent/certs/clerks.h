#pragma once
// A few threads that wait for the CA, so that nobody else has to.
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "agent/certs/ca_client.h"
#include "userspace-proxy/base/mutex.h"

#include <condition_variable>

namespace weft::certs {

// Owner: the room's Service, in whose thread all calls are made. Threads: as many as there ever were asks at
// one time, at most `most`; `done` is called in one of them, once for every ask but those that stop() finds
// waiting. Lifetime: the destructor stops, which takes as long as the calls that are under way (kAskTimeout).
class Clerks {
 public:
  using Done = std::function<void(uint64_t ask, base::Result<Answer> answer)>;
  Clerks(CaClient& client, size_t most, Done done) : client_(client), most_(most), done_(std::move(done)) {}
  ~Clerks() { stop(); }
  Clerks(const Clerks&) = delete;
  Clerks& operator=(const Clerks&) = delete;

  void ask(Ask ask);
  void stop();  // afterwards ask() does nothing

 private:
  void work();

  CaClient& client_;
  const size_t most_;
  const Done done_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;  // guards what follows; a plain one, for the condition's sake
  std::condition_variable wake_;
  std::deque<Ask> waiting_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace weft::certs
