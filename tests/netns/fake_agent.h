#pragma once
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "agent/publish/publisher.h"
#include "tests/support/netns_harness.h"

namespace weft::test {

// The agent's end of the channel, played for a proxy under test: publishes what the test hands in and keeps
// the stock of every pod at kStock sockets. Runs in a thread of its own.
class FakeAgent final : private publish::PublisherEvents {
 public:
  static constexpr uint32_t kStock = 64;

  FakeAgent(const std::string& socket_path, uid_t proxy_user);
  ~FakeAgent() override;

  void publish(model::SnapshotPtr snapshot) { publisher_->publish(std::move(snapshot)); }
  void add_listener(const model::ListenerKey& key, base::Fd socket);
  // Sockets of this key are made by `make` from now on, when a proxy is there or wants more.
  void keep_stocked(const model::StockKey& key, std::function<base::Fd()> make);
  void mark_synced() { publisher_->mark_synced(); }

 private:
  void on_proxy_ready(publish::ProxyId) override;
  void on_proxy_gone(publish::ProxyId) override { ready_ = false; }
  void on_stock_level(publish::ProxyId, const model::StockLevel& report) override;
  void on_verdict(publish::ProxyId, const model::Verdict& verdict) override;
  void fill(const model::StockKey& key, uint32_t count);

  base::SystemClock clock_;
  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::map<model::StockKey, std::function<base::Fd()>> makers_;  // loop's thread
  bool ready_ = false;                                           // loop's thread
  std::thread thread_;
};

}  // namespace weft::test
