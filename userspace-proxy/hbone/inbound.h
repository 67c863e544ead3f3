#pragma once
// The destination's end of a tunnel: CONNECT requests in, connections to relay out.
#include <memory>
#include <string>
#include <string_view>

#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/hbone/headers.h"
#include "userspace-proxy/hbone/securer.h"
#include "userspace-proxy/hbone/session.h"

namespace weft::hbone {

enum class Refusal : uint16_t {
  kBadRequest = 400,
  kDenied = 401,       // policy
  kUnavailable = 503,  // no such workload, service, port; the application cannot be reached
};

class InboundTunnel;

// Told when an unanswered request is no longer wanted: the peer has taken it back or the tunnel is gone. The
// request may be destroyed in here; answering it has no effect any more.
class InboundWatcher {
 public:
  virtual ~InboundWatcher() = default;
  virtual void on_request_gone() = 0;
};

// One CONNECT that keeps to the rules, not yet answered. Held by whoever judges it; may outlive its tunnel.
// Destroyed without an answer it is refused with kUnavailable. Answers leave at the end of the loop turn,
// wherever they are given.
class InboundRequest final : private StreamOwner {
 public:
  ~InboundRequest() override;

  // An address equals the pod's own; a name is still to be resolved, and the port it resolves to must be held
  // against is_proxy_port() by whoever resolves it.
  [[nodiscard]] const Authority& authority() const { return authority_; }
  // As the peer sent them (claims); empty when it did not. Valid until the answer.
  [[nodiscard]] std::string_view baggage() const;
  [[nodiscard]] std::string_view forwarded() const;
  [[nodiscard]] std::string_view traceparent() const;

  void watch(InboundWatcher* watcher) { watcher_ = watcher; }
  [[nodiscard]] bool gone() const { return stream_ == nullptr || stream_->broken(); }
  // 200, with our own baggage if there is any. Never null; reads and writes fail when the peer is gone.
  [[nodiscard]] std::unique_ptr<base::Transport> accept(std::string_view baggage = {});
  void refuse(Refusal status);

 private:
  friend class InboundTunnel;
  InboundRequest(Engine& engine, std::unique_ptr<Stream> stream, Authority authority);
  void on_head(Stream&) override {}
  void on_gone(Stream& stream, uint32_t error_code) override;

  Engine& engine_;
  std::unique_ptr<Stream> stream_;  // null once answered
  Authority authority_;
  InboundWatcher* watcher_ = nullptr;
};

class InboundOwner {
 public:
  virtual ~InboundOwner() = default;
  // Make it known to whoever re-judges live connections before judging it, so that a change of policy in between
  // is not lost (hbone.md 8.4).
  virtual void on_request(InboundTunnel& tunnel, std::unique_ptr<InboundRequest> request) = 0;
  // Answered here, for the record: `reason` is a sentence, `authority` what the peer asked for.
  virtual void on_refused(InboundTunnel& tunnel, Refusal status, std::string_view authority,
                          std::string_view reason) = 0;
  // Once; retire the tunnel, do not free it. Its streams have been told.
  virtual void on_tunnel_over(InboundTunnel& tunnel) = 0;
};

// Owned by the worker, in its thread.
class InboundTunnel final : public base::Retirable, private SessionOwner {
 public:
  struct Peer {
    std::shared_ptr<const tls::PeerProof> proof;
    base::SocketAddress address;  // of the source, as TCP shows it
    base::Address pod;            // the connection's local address
  };
  // `max_age`: as Secured::max_age. `begin_within`: what TLS has left of Limits::begin for the peer's SETTINGS.
  struct Times {
    base::Nanos max_age{0};
    base::Nanos begin_within{0};  // zero: all of it
  };
  InboundTunnel(Engine& engine, std::unique_ptr<base::Transport> transport, Peer peer, Times times,
                InboundOwner& owner);
  ~InboundTunnel() override;

  // Begins to read; may call the owner before it returns, but never on_tunnel_over().
  void start() { session_->start(); }
  // GOAWAY; streams may finish. Ends by itself when none is left.
  void drain() { session_->drain(); }
  // Resets every stream, GOAWAY, close.
  void abort() { session_->abort(); }

  [[nodiscard]] const Peer& peer() const { return peer_; }
  [[nodiscard]] size_t streams() const { return session_->streams(); }

 private:
  void on_ready(Session&) override {}
  void on_request(Session& session, std::unique_ptr<Stream> stream) override;
  void on_room(Session&) override {}
  void on_going_away(Session&) override {}
  void on_session_over(Session& session, SessionEnd end) override;

  Engine& engine_;
  Peer peer_;
  InboundOwner& owner_;
  std::unique_ptr<Session> session_;
};

}  // namespace weft::hbone
