#pragma once
// One TLS handshake, from a connected transport to a proven peer.
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/tls/contexts.h"
#include "userspace-proxy/tls/peer_proof.h"
#include "userspace-proxy/tls/tls_transport.h"

namespace weft::tls {

inline constexpr base::Nanos kHandshakeTimeout = base::Millis(10'000);

enum class Role : uint8_t { kClient, kServer };

struct HandshakeRequest {
  Role role = Role::kServer;
  model::SpiffeId identity;  // of ours, whose credential is used
  // kClient: the peer must prove one of these; an empty list fails closed. kServer: ignored, the peer's trust domain
  // must be ours.
  std::vector<model::SpiffeId> expected;
  // kClient: names the far end ("10.0.0.2:15008"); a session kept under it is resumed. Empty: never resume.
  std::string resume_key;
  base::Nanos timeout = kHandshakeTimeout;
};

struct Established {
  std::unique_ptr<TlsTransport> transport;  // attach() to it to go on
  PeerProof peer;
};

// Told how a handshake ended: once, never from inside start(). The Handshake may be destroyed in here.
// Errors, side is the peer's: kUntrusted with the reason in words ("certificate expired", "presented X, expected
// Y"), kTimeout, kClosed (broken off or refused by the peer), kInvalid (breaks the protocol, nothing in common).
class HandshakeHandler {
 public:
  virtual ~HandshakeHandler() = default;
  virtual void on_handshake(base::Result<Established> outcome) = 0;
};

// Destroying it cancels: the handler is not called any more and the inner transport dies at the end of the turn.
// Counts its outcome in Counters::tls_*. Thread: the worker's.
class Handshake final : private base::TransportHandler {
 public:
  // kNotFound when there is no credential of ours or no trust bundle, counted as tls_no_identity; `inner` is gone
  // then. `contexts` and `handler` must outlive the handshake, `contexts` the transport too.
  [[nodiscard]] static base::Result<std::unique_ptr<Handshake>> start(base::Loop& loop, Contexts& contexts,
                                                                      std::unique_ptr<base::Transport> inner,
                                                                      HandshakeRequest request,
                                                                      HandshakeHandler& handler);
  ~Handshake() override;

 private:
  Handshake(base::Loop& loop, Contexts& contexts, HandshakeRequest request, HandshakeHandler& handler);
  void on_readable() override { advance(); }
  void on_writable() override { advance(); }
  base::Status begin(std::unique_ptr<base::Transport> inner, Context& context);
  void resume(Context& context);
  void advance();
  void finish();
  void fail(base::Error error);
  [[nodiscard]] base::Error failure() const;
  [[nodiscard]] base::Result<PeerProof> proof() const;

  base::Loop& loop_;
  Contexts& contexts_;
  HandshakeRequest request_;
  HandshakeHandler& handler_;
  std::unique_ptr<TlsTransport> transport_;  // null once the handler was told
  base::Timer timer_;
};

}  // namespace weft::tls
