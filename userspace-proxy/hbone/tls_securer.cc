#include "userspace-proxy/hbone/tls_securer.h"

#include <algorithm>

namespace weft::hbone {

base::Nanos tunnel_age(const tls::Credential* own, const tls::PeerProof& peer, base::WallTime now) {
  auto end = peer.not_after;
  if (own != nullptr) end = std::min(end, own->not_after);
  const base::Nanos left = end - now;
  return std::max<base::Nanos>(left / 10 * 9, base::Millis(1));
}

// One handshake; also the failure that is found before it begins and told a turn later.
class TlsSecurer::Step final : public Securing, private tls::HandshakeHandler, private base::IoHandler {
 public:
  Step(TlsSecurer& securer, const model::SpiffeId& own, SecureHandler& handler)
      : securer_(securer), handler_(handler), own_(securer.contexts_.credential(own)) {}
  ~Step() override { securer_.loop_.forget(this); }

  void begin(std::unique_ptr<base::Transport> tcp, tls::HandshakeRequest request) {
    auto made = tls::Handshake::start(securer_.loop_, securer_.contexts_, std::move(tcp), std::move(request), *this);
    if (made) {
      handshake_ = std::move(*made);
      return;
    }
    failure_ = std::move(made.error());
    // Nothing to prove ourselves with, or nobody to believe: the identity is missing, not TLS.
    if (failure_.kind == base::ErrorKind::kNotFound) failure_.kind = base::ErrorKind::kUntrusted;
    securer_.loop_.again(this);
  }

 private:
  void on_io(uint32_t) override { handler_.on_secured(std::unexpected(failure_)); }
  void on_handshake(base::Result<tls::Established> outcome) override {
    if (!outcome) return handler_.on_secured(std::unexpected(std::move(outcome.error())));
    Secured out;
    out.max_age = tunnel_age(own_.get(), outcome->peer, securer_.loop_.clock().wall_now());
    out.transport = std::move(outcome->transport);
    out.proof = std::make_shared<const tls::PeerProof>(std::move(outcome->peer));
    handler_.on_secured(std::move(out));
  }

  TlsSecurer& securer_;
  SecureHandler& handler_;
  const tls::CredentialPtr own_;
  std::unique_ptr<tls::Handshake> handshake_;
  base::Error failure_;
};

std::unique_ptr<Securing> TlsSecurer::secure(std::unique_ptr<base::Transport> tcp, std::string_view peer,
                                             const model::SpiffeId& own, std::span<const model::SpiffeId> accepted,
                                             SecureHandler& handler) {
  auto step = std::make_unique<Step>(*this, own, handler);
  step->begin(std::move(tcp), {.role = tls::Role::kClient,
                               .identity = own,
                               .expected = {accepted.begin(), accepted.end()},
                               .resume_key = std::string(peer)});
  return step;
}

}  // namespace weft::hbone
