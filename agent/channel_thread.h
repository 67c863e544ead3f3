#pragma once
#include <functional>
#include <memory>
#include <thread>

#include "agent/publish/publisher.h"
#include "userspace-proxy/base/loop.h"

namespace weft::agent {

// The Publisher with a loop and a thread of its own, so that a refill of stock never waits for a compilation.
// Owner: a role, which builds it before and lets it die after whoever hands it sockets.
class ChannelThread {
 public:
  static base::Result<std::unique_ptr<ChannelThread>> create(const base::Clock& clock,
                                                             publish::PublisherEvents& events,
                                                             publish::PublisherOptions options);
  ~ChannelThread();

  void start();
  void stop();  // no event comes after the return
  [[nodiscard]] base::Loop& loop() { return *loop_; }  // for the watchdog
  [[nodiscard]] publish::Publisher& publisher() { return *publisher_; }

 private:
  explicit ChannelThread(std::unique_ptr<base::Loop> loop) : loop_(std::move(loop)) {}

  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::thread thread_;
};

}  // namespace weft::agent
