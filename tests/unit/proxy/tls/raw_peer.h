#pragma once
// A peer that is not ours: plain OpenSSL that does whatever its SSL_CTX is told, over one end of an in-memory pair.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <gtest/gtest.h>

#include "tests/support/tls_rig.h"

namespace weft::test {

inline testing::AssertionResult has(const std::string& text, std::string_view part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << text << "\" does not hold \"" << part << '"';
}

struct RawPeer {
  RawPeer(bool server, const Issued* issued) : server_role(server), context(SSL_CTX_new(TLS_method())) {
    if (issued != nullptr) use(*issued);
    const unsigned char alpn[] = {2, 'h', '2'};
    if (!server) SSL_CTX_set_alpn_protos(context.get(), alpn, sizeof alpn);
    if (server) SSL_CTX_set_alpn_select_cb(context.get(), take_h2, this);
    if (server) SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, accept_all);
    SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("raw"), 3);
  }
  ~RawPeer() { reset(); }
  void use(const Issued& issued) {
    auto chain = *tls::parse_certificates(issued.chain_pem, 8);
    SSL_CTX_use_certificate(context.get(), chain[0].get());
    for (size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context.get(), chain[i].get());
    SSL_CTX_use_PrivateKey(context.get(), key_of(issued.key_pem).get());
  }
  // Call after the context was set up.
  void begin(std::unique_ptr<PairEnd> through) {
    end = std::move(through);
    reset();
    ssl = SSL_new(context.get());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    server_role ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  }
  void reset() {
    if (ssl == nullptr) return;
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(std::exchange(ssl, nullptr));
  }
  // Moves bytes once in each direction and goes on with the handshake, then reads.
  void step() {
    const auto in = end->take();
    if (!in.empty()) BIO_write(SSL_get_rbio(ssl), in.data(), static_cast<int>(in.size()));
    ERR_clear_error();
    int result = SSL_do_handshake(ssl);
    finished = result == 1;
    char data[4096];
    if (finished) result = SSL_read(ssl, data, sizeof data);
    if (finished && result > 0) got.append(data, static_cast<size_t>(result));
    const int error = SSL_get_error(ssl, result);
    if (result <= 0 && error == SSL_ERROR_SSL && reason == 0) reason = ERR_GET_REASON(ERR_peek_error());
    closed |= error == SSL_ERROR_ZERO_RETURN;
    send_out();
  }
  void send_out() {
    char out[16384];
    for (int n; (n = BIO_read(SSL_get_wbio(ssl), out, sizeof out)) > 0;) {
      const iovec piece{out, static_cast<size_t>(n)};
      (void)end->write({&piece, 1});  // the other side may be gone
    }
  }
  [[nodiscard]] int alert() const { return reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0; }
  [[nodiscard]] std::string identity() const {
    X509* leaf = SSL_get0_peer_certificate(ssl);
    return leaf == nullptr ? "" : tls::identity_of(leaf)->to_string();
  }

  static int accept_all(int, X509_STORE_CTX*) { return 1; }
  static int take_h2(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length,
                     void* self) {
    auto& peer = *static_cast<RawPeer*>(self);
    if (!peer.answers_alpn) return SSL_TLSEXT_ERR_NOACK;
    for (unsigned at = 0; at < length; at += in[at] + 1u) {
      *out = in + at + 1;
      *size = in[at];
      peer.offered.emplace_back(reinterpret_cast<const char*>(*out), *size);
    }
    return SSL_TLSEXT_ERR_OK;
  }

  bool server_role, finished = false, closed = false, answers_alpn = true;
  int reason = 0;
  std::string got;
  std::vector<std::string> offered;  // ALPN
  tls::Owned<SSL_CTX> context;
  SSL* ssl = nullptr;
  std::unique_ptr<PairEnd> end;
};

}  // namespace weft::test
