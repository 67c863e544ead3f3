#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/publish/publisher.h"
#include "userspace-proxy/base/seqpacket.h"

namespace weft::publish {

// One connected proxy: what waits to be sent to it and what it said. Owned by the Publisher, in its thread; a
// broken link tells the Publisher, which retires it.
class ProxyLink final : public base::Retirable, private base::IoHandler {
 public:
  ProxyLink(Publisher& owner, base::Loop& loop, base::Fd socket, ProxyStatus status);
  ~ProxyLink() override;

  base::Status start();
  void send(const model::ToProxy& message, std::vector<SharedFd> fds = {});
  // At most one Snapshot is on its way; a newer one waits until the proxy has judged it.
  void offer(uint64_t version, uint64_t bytes, const SharedFd& memory);

  [[nodiscard]] const ProxyStatus& status() const { return status_; }
  [[nodiscard]] bool ready() const { return ready_; }

 private:
  struct Parcel {
    std::string bytes;
    std::vector<SharedFd> fds;
  };

  void on_io(uint32_t events) override;
  base::Status read_some();
  base::Status write_some();
  base::Status write_one(const Parcel& parcel, bool* sent);
  base::Status take(const model::Hello& hello);
  base::Status take(const model::Verdict& verdict);
  base::Status take(const model::StockLevel& report);
  base::Status take(const model::CertificateRequest& request);
  base::Status take(const model::IdentityNeeded& needed);

  Publisher& owner_;
  base::Loop& loop_;
  base::Fd socket_;
  ProxyStatus status_;
  bool ready_ = false;       // hello was heard
  bool want_write_ = false;  // EPOLLOUT is registered
  std::deque<Parcel> outbox_;
  base::Timer retry_;                // too many descriptors in flight: no event tells when there is room
  std::optional<uint64_t> judging_;  // version of the Snapshot the proxy has not answered yet
};

}  // namespace weft::publish
