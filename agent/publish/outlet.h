#pragma once
// Where sockets made for the proxies go. Publisher is the real one; tests have a list.
#include <cstdint>
#include <memory>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/model/channel.h"

namespace weft::publish {

using SharedFd = std::shared_ptr<const base::Fd>;

class Outlet {
 public:
  virtual ~Outlet() = default;
  // A key that is there already gets the new socket.
  virtual void add_listener(const model::ListenerKey& key, SharedFd socket) = 0;
  virtual void remove_listener(const model::ListenerKey& key) = 0;
  virtual void remove_pod(const model::PodKey& pod) = 0;
  // To the newest proxy; closed when none is there.
  virtual void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) = 0;
  virtual void set_stock_target(const model::StockKey& key, uint32_t keep) = 0;
};

}  // namespace weft::publish
