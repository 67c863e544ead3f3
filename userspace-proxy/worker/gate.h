#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/hbone/inbound.h"
#include "userspace-proxy/observe/flag.h"

namespace weft::worker {

// Told, at most once, that the source went away before its gate was opened. The gate may be destroyed in here.
class GateWatcher {
 public:
  virtual ~GateWatcher() = default;
  virtual void on_source_gone() = 0;
};

// The source's end of a connection while it is not known yet whether its destination can be reached: then it is
// opened, or turned away, once. Owned by its Layer4, in the worker's thread.
class Gate {
 public:
  virtual ~Gate() = default;
  virtual void watch(GateWatcher&) {}
  [[nodiscard]] virtual std::unique_ptr<base::Transport> open() = 0;
  virtual void turn_away(observe::Flag flag, std::string_view why) = 0;
};

// An accepted socket: the source already believes to be connected, so the only way to say no is a reset.
class SocketGate final : public Gate {
 public:
  explicit SocketGate(std::unique_ptr<base::Transport> transport) : transport_(std::move(transport)) {}
  [[nodiscard]] std::unique_ptr<base::Transport> open() override { return std::move(transport_); }
  void turn_away(observe::Flag, std::string_view) override { transport_->reset(); }

 private:
  std::unique_ptr<base::Transport> transport_;
};

// A CONNECT of a tunnel: 200 once the application is there, 401 for policy, 503 for all else (hbone.md 7).
class RequestGate final : public Gate, private hbone::InboundWatcher {
 public:
  // `baggage`: who answers, for the peer's telemetry.
  RequestGate(std::unique_ptr<hbone::InboundRequest> request, std::string baggage)
      : request_(std::move(request)), baggage_(std::move(baggage)) {}
  ~RequestGate() override {
    if (request_) request_->watch(nullptr);
  }
  void watch(GateWatcher& watcher) override {
    watcher_ = &watcher;
    request_->watch(this);
  }
  [[nodiscard]] std::unique_ptr<base::Transport> open() override {
    request_->watch(nullptr);
    return request_->accept(baggage_);
  }
  void turn_away(observe::Flag flag, std::string_view) override {
    request_->watch(nullptr);
    request_->refuse(flag == observe::Flag::kDeny ? hbone::Refusal::kDenied : hbone::Refusal::kUnavailable);
  }

 private:
  void on_request_gone() override {
    if (watcher_ != nullptr) watcher_->on_source_gone();
  }
  std::unique_ptr<hbone::InboundRequest> request_;
  const std::string baggage_;
  GateWatcher* watcher_ = nullptr;
};

}  // namespace weft::worker
