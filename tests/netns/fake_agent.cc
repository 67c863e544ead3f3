#include "tests/netns/fake_agent.h"

#include <stdexcept>

namespace weft::test {

FakeAgent::FakeAgent(const std::string& socket_path, uid_t proxy_user) {
  loop_ = std::move(*base::Loop::create(clock_));
  publish::PublisherEvents& events = *this;
  publisher_ = std::make_unique<publish::Publisher>(
      *loop_, events,
      publish::PublisherOptions{
          .socket_path = socket_path, .socket_mode = 0666, .allowed_users = {proxy_user}});
  if (const auto listening = publisher_->listen(); !listening)
    throw std::runtime_error(listening.error().what);
  thread_ = std::thread([this] { loop_->run(); });
}

FakeAgent::~FakeAgent() {
  loop_->stop();
  thread_.join();
}

void FakeAgent::add_listener(const model::ListenerKey& key, base::Fd socket) {
  publisher_->add_listener(key, std::make_shared<const base::Fd>(std::move(socket)));
}

void FakeAgent::keep_stocked(const model::StockKey& key, std::function<base::Fd()> make) {
  loop_->post([this, key, make = std::move(make)] {
    makers_[key] = make;
    if (ready_) fill(key, kStock);
  });
}

void FakeAgent::on_proxy_ready(publish::ProxyId) {
  ready_ = true;
  for (const auto& [key, make] : makers_) fill(key, kStock);
}

void FakeAgent::on_stock_level(publish::ProxyId, const model::StockLevel& report) {
  if (report.level < kStock && makers_.contains(report.key)) fill(report.key, kStock - report.level);
}

void FakeAgent::on_verdict(publish::ProxyId, const model::Verdict& verdict) {
  if (!verdict.refusal.empty())
    std::fprintf(stderr, "the proxy refuses the snapshot: %s\n", verdict.refusal.c_str());
}

void FakeAgent::fill(const model::StockKey& key, uint32_t count) {
  std::vector<base::Fd> sockets;
  for (uint32_t i = 0; i < count; ++i) {
    sockets.push_back(makers_[key]());
    if (sockets.size() < model::kMaxPacketFds && i + 1 < count) continue;
    publisher_->add_stock(key, std::exchange(sockets, {}));
  }
}

}  // namespace weft::test
