#pragma once
// Inside of hbone/: one dial through a tunnel.
#include <list>
#include <string>

#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/hbone/dialer.h"

namespace weft::hbone {

// The one place that decides how a failure is told (see flag_of).
[[nodiscard]] base::Error error_of(observe::Flag flag, std::string what);

// What the caller holds.
//
//   kWaiting (for a tunnel) <--> kAsked (CONNECT is out) --> kDone
//        \_____________________________\__ failed __________^
class TunnelDialer::Pending final : public connect::Dial, private StreamOwner {
 public:
  enum class Step : uint8_t { kWaiting, kAsked, kDone };

  Pending(Entry& entry, const TunnelTarget& target, connect::DialHandler& handler);
  ~Pending() override;

  // False: the session takes none after all.
  [[nodiscard]] bool ask(Session& session);
  // The handler is told; the Pending may be gone afterwards.
  void fail(base::Error error);

  std::list<Pending*>::iterator place;  // while kWaiting: in the entry's list
  std::list<Pending*>* list = nullptr;

 private:
  static constexpr int kRetries = 2;

  void on_head(Stream& stream) override;
  void on_gone(Stream& stream, uint32_t error_code) override;
  void refused(uint16_t status);
  void finish(base::Result<std::unique_ptr<base::Transport>> outcome);

  Entry& entry_;
  connect::DialHandler& handler_;
  const std::string authority_, baggage_, forwarded_, traceparent_;
  base::Timer timer_;
  std::unique_ptr<Stream> stream_;
  int retries_ = kRetries;
  Step step_ = Step::kWaiting;
};

}  // namespace weft::hbone
