#pragma once
// The simplest proxy that enrolling can be tested with: it accepts on every listener it is given, answers the
// self-test, greets everybody else with what it saw and sends back what it hears.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/publish/outlet.h"
#include "userspace-proxy/base/loop.h"

namespace weft::test {

// Owned by the test, in the thread of `loop`. What it was given lives on while agents come and go.
class CaptiveProxy final : public publish::Outlet {
 public:
  explicit CaptiveProxy(base::Loop& loop);
  ~CaptiveProxy() override;

  void add_listener(const model::ListenerKey& key, publish::SharedFd socket) override;
  void remove_listener(const model::ListenerKey& key) override;
  void remove_pod(const model::PodKey& pod) override;
  void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) override;
  void set_stock_target(const model::StockKey&, uint32_t) override {}

  // Closes everything, as a proxy that was killed. Not to be called in a turn of the loop.
  void die();
  base::Fd take_stock(model::StockKind kind, model::Family family);
  [[nodiscard]] size_t listeners() const { return doors_.size(); }
  [[nodiscard]] size_t accepted() const { return accepted_; }

 private:
  class Door;
  class Guest;
  friend class Door;
  friend class Guest;

  base::Loop& loop_;
  std::map<model::ListenerKey, std::unique_ptr<Door>> doors_;
  std::map<Guest*, std::unique_ptr<Guest>> guests_;
  std::map<model::StockKey, std::vector<base::Fd>> stock_;
  size_t accepted_ = 0;
};

}  // namespace weft::test
