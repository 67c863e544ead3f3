#include "agent/channel_thread.h"

#include <pthread.h>

namespace weft::agent {

base::Result<std::unique_ptr<ChannelThread>> ChannelThread::create(const base::Clock& clock,
                                                                   publish::PublisherEvents& events,
                                                                   publish::PublisherOptions options) {
  TRY_ASSIGN(auto loop, base::Loop::create(clock));
  auto channel = std::unique_ptr<ChannelThread>(new ChannelThread(std::move(loop)));
  channel->publisher_ = std::make_unique<publish::Publisher>(*channel->loop_, events, std::move(options));
  TRY(channel->publisher_->listen());
  return channel;
}

void ChannelThread::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "publish");
    loop_->run();
  });
}

void ChannelThread::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

ChannelThread::~ChannelThread() {
  stop();
}

}  // namespace weft::agent
