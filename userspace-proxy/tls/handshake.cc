#include "userspace-proxy/tls/handshake.h"

#include <fmt/format.h>
#include <openssl/sslerr.h>

#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/context.h"

namespace weft::tls {
namespace {

using base::ErrorKind;

// Frees a transport at the end of the turn: it may be on the stack below us.
class Grave final : public base::Retirable {
 public:
  explicit Grave(std::unique_ptr<base::Transport> transport) : transport_(std::move(transport)) {}

 private:
  std::unique_ptr<base::Transport> transport_;
};

std::vector<CertPtr> intermediates_of(const SSL* ssl, bool server) {
  std::vector<CertPtr> out;
  auto* chain = SSL_get_peer_cert_chain(ssl);
  // The client's copy begins with the leaf, the server's does not (SSL_get_peer_cert_chain(3)).
  for (int i = server ? 0 : 1; i < sk_X509_num(chain); ++i) out.push_back(share(sk_X509_value(chain, i)));
  return out;
}

std::unexpected<base::Error> no_identity(Contexts& contexts, std::string what) {
  ++contexts.counters().tls_no_identity;
  return base::fail(ErrorKind::kNotFound, std::move(what));
}

}  // namespace

base::Result<std::unique_ptr<Handshake>> Handshake::start(base::Loop& loop, Contexts& contexts,
                                                          std::unique_ptr<base::Transport> inner,
                                                          HandshakeRequest request, HandshakeHandler& handler) {
  Context* context = contexts.find(request.identity);
  if (context == nullptr)
    return no_identity(contexts, "no certificate of ours for " + request.identity.to_string());
  if (const auto until = context->credential()->not_after; contexts.clock().wall_now() >= until)
    return no_identity(contexts, fmt::format("our certificate for {} expired at {}", request.identity.to_string(),
                                             describe_time(until)));
  if (!contexts.bundle()) return no_identity(contexts, "no trust bundle has come yet");
  std::unique_ptr<Handshake> made(new Handshake(loop, contexts, std::move(request), handler));
  TRY(made->begin(std::move(inner), *context));
  return made;
}

Handshake::Handshake(base::Loop& loop, Contexts& contexts, HandshakeRequest request, HandshakeHandler& handler)
    : loop_(loop),
      contexts_(contexts),
      request_(std::move(request)),
      handler_(handler),
      timer_(loop.timers(), [this] {
        ++contexts_.counters().tls_failed_timeout;
        fail({ErrorKind::kTimeout, {}, 0,
              fmt::format("no TLS handshake within {} ms",
                          std::chrono::duration_cast<base::Millis>(request_.timeout).count())});
      }) {}

Handshake::~Handshake() {
  if (!transport_) return;
  transport_->handler_ = nullptr;
  loop_.retire(std::make_unique<Grave>(std::move(transport_)));
}

base::Status Handshake::begin(std::unique_ptr<base::Transport> inner, Context& context) {
  const bool server = request_.role == Role::kServer;
  auto connection = std::make_unique<Connection>(contexts_, server, request_.identity, context.epoch(),
                                                 request_.expected, request_.resume_key);
  transport_.reset(new TlsTransport(contexts_, std::move(inner), std::move(connection)));
  if (!transport_->begin(server ? context.server() : context.client()))
    return base::fail(ErrorKind::kSystem, "TLS: " + openssl_complaint());
  SSL* ssl = transport_->ssl_.get();
  server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  if (!server) resume(context);
  timer_.arm(request_.timeout);
  return transport_->attach(loop_, this);
}

void Handshake::resume(Context& context) {
  auto& connection = *transport_->connection_;
  const auto* kept =
      context.sessions().find(connection, contexts_.bundle()->generation(), contexts_.clock().wall_now());
  if (kept == nullptr) return;
  // A copy: OpenSSL uses up the one it is given, and the connections of a busy pool begin from the same one.
  const Owned<SSL_SESSION> copy(SSL_SESSION_dup(kept->session.get()));
  if (!copy || SSL_set_session(transport_->ssl_.get(), copy.get()) != 1) return;
  // Holds if the server agrees to resume; a certificate from it overwrites this.
  connection.peer = kept->peer;
  connection.generation = kept->generation;
  connection.established = kept->established;
}

void Handshake::advance() {
  if (!transport_) return;
  switch (transport_->handshake()) {
    case TlsTransport::Drive::kWait:
      return;
    case TlsTransport::Drive::kFailed:
      return fail(failure());
    case TlsTransport::Drive::kDone:
      return finish();
  }
}

void Handshake::finish() {
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(transport_->ssl_.get(), &protocol, &size);
  if (size == 0) {  // an answer other than what we offered is refused by OpenSSL itself
    ++contexts_.counters().tls_failed_protocol;
    return fail({ErrorKind::kInvalid, {}, 0, "TLS: the server chose no application protocol"});
  }
  auto peer = proof();
  if (!peer) {
    ++contexts_.counters().tls_failed_untrusted;
    return fail(std::move(peer).error());
  }
  auto& counters = contexts_.counters();
  ++(peer->resumed ? counters.tls_handshakes_resumed : counters.tls_handshakes_full);
  timer_.cancel();
  transport_->handler_ = nullptr;
  handler_.on_handshake(Established{std::move(transport_), std::move(*peer)});
}

// The last word on who the peer is, for full and resumed handshakes alike.
base::Result<PeerProof> Handshake::proof() const {
  SSL* ssl = transport_->ssl_.get();
  auto& connection = *transport_->connection_;
  const bool resumed = SSL_session_reused(ssl) == 1;
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf == nullptr || (!resumed && !connection.proven))
    return base::fail(ErrorKind::kUntrusted, "the peer presented no certificate");
  if (SSL_get_verify_result(ssl) != X509_V_OK)
    return base::fail(ErrorKind::kUntrusted, describe_verify_error(static_cast<int>(SSL_get_verify_result(ssl)), leaf));
  if (!connection.accepts(connection.peer)) return base::fail(ErrorKind::kUntrusted, connection.untrusted);
  const auto until = not_after_of(leaf);
  if (contexts_.clock().wall_now() >= until)
    return base::fail(ErrorKind::kUntrusted, describe_verify_error(X509_V_ERR_CERT_HAS_EXPIRED, leaf));
  connection.proven = true;
  PeerProof peer{.id = connection.peer,
                 .resumed = resumed,
                 .weft = connection.peer_is_weft,
                 .not_after = until,
                 .established = connection.established,
                 .bundle_generation = connection.generation,
                 .leaf = share(leaf),
                 .intermediates = intermediates_of(ssl, connection.server)};
  if (resumed && connection.server) peer.intermediates = std::move(connection.resumed_intermediates);
  // The bundle was replaced while we shook hands: whoever cuts connections for it did not see this one.
  const auto& bundle = *contexts_.bundle();
  if (peer.bundle_generation == bundle.generation()) return peer;
  if (!peer.still_holds(bundle))
    return base::fail(ErrorKind::kUntrusted, describe_verify_error(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, leaf));
  peer.bundle_generation = connection.generation = bundle.generation();
  return peer;
}

base::Error Handshake::failure() const {
  const auto& transport = *transport_;
  auto& counters = contexts_.counters();
  if (!transport.connection_->untrusted.empty()) {
    ++counters.tls_failed_untrusted;
    return {ErrorKind::kUntrusted, {}, 0, transport.connection_->untrusted};
  }
  if (transport.failure_reason_ == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    ++counters.tls_failed_untrusted;
    return {ErrorKind::kUntrusted, {}, 0, "the peer presented no certificate"};
  }
  const int sys_errno = transport.read_errno_;
  if (transport.inner_ended_ || transport.inner_errno_ != 0 || sys_errno == ECONNABORTED) {
    ++counters.tls_failed_closed;
    const bool ended = transport.inner_ended_ && transport.inner_errno_ == 0 && sys_errno != ECONNABORTED;
    return {ErrorKind::kClosed, {}, sys_errno,
            ended ? "the peer closed the connection during the TLS handshake" : transport.failure_};
  }
  ++counters.tls_failed_protocol;
  return {ErrorKind::kInvalid, {}, sys_errno, "TLS: " + transport.failure_};
}

void Handshake::fail(base::Error error) {
  error.side = request_.role == Role::kClient ? base::Side::kDestination : base::Side::kSource;
  timer_.cancel();
  transport_->handler_ = nullptr;
  transport_->shutdown_write();  // an alert may be on its way, the end follows it
  loop_.retire(std::make_unique<Grave>(std::move(transport_)));
  handler_.on_handshake(std::unexpected(std::move(error)));
}

}  // namespace weft::tls
