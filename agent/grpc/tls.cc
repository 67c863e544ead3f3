#include "agent/grpc/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "userspace-proxy/base/address.h"

namespace weft::grpc {
namespace {

constexpr unsigned char kAlpn[] = {2, 'h', '2'};
constexpr const char* kCiphersBefore13 = "ECDHE+AESGCM:ECDHE+CHACHA20";

// A socket BIO like OpenSSL's own, but a peer that is gone is an error and not a SIGPIPE.
int socket_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const auto rv = ::send(static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))), bytes,
                         static_cast<size_t>(size), MSG_NOSIGNAL);
  if (rv < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(rv);
}

int socket_read(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const auto rv = ::recv(static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))), bytes,
                         static_cast<size_t>(size), 0);
  if (rv < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (rv == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(rv);
}

long socket_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* make_method() {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft socket");
  CHECK(method != nullptr);
  BIO_meth_set_write(method, socket_write);
  BIO_meth_set_read(method, socket_read);
  BIO_meth_set_ctrl(method, socket_control);
  return method;
}

BIO* bio_over(int fd) {
  static BIO_METHOD* const kMethod = make_method();
  BIO* const bio = BIO_new(kMethod);
  CHECK(bio != nullptr);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

int choose_h2(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
              unsigned int in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAlpn, sizeof kAlpn, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

base::Result<TlsContextPtr> bare_context(const SSL_METHOD* method) {
  TlsContextPtr context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context) return fail_openssl(base::ErrorKind::kSystem, "TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphersBefore13);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

}  // namespace

base::Result<TlsContextPtr> server_context(std::string_view chain_pem, std::string_view key_pem) {
  TRY_ASSIGN(auto chain, read_certificates(chain_pem));
  TRY_ASSIGN(const auto key, read_private_key(key_pem));
  TRY_ASSIGN(auto context, bare_context(TLS_server_method()));
  if (SSL_CTX_use_certificate(context.get(), chain[0].get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1)
    return fail_openssl(base::ErrorKind::kInvalid, "TLS server certificate and key");
  for (size_t i = 1; i < chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1)
      return fail_openssl(base::ErrorKind::kInvalid, "TLS server chain");
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_h2, nullptr);
  return context;
}

base::Result<TlsContextPtr> client_context(std::string_view roots_pem) {
  TRY_ASSIGN(auto context, bare_context(TLS_client_method()));
  if (roots_pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context.get()) != 1)
      return fail_openssl(base::ErrorKind::kSystem, "the system's trust anchors");
  } else {
    TRY_ASSIGN(const auto roots, read_certificates(roots_pem));
    X509_STORE* const store = SSL_CTX_get_cert_store(context.get());
    for (const auto& root : roots)
      if (X509_STORE_add_cert(store, root.get()) != 1) return fail_openssl(base::ErrorKind::kInvalid, "trust anchor");
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn);
  return context;
}

base::Status wait_for(int fd, short poll_events, base::Instant deadline) {
  while (true) {
    const auto left = std::chrono::ceil<base::Millis>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return base::fail(base::ErrorKind::kTimeout, "the peer took too long");
    pollfd entry{fd, poll_events, 0};
    const int rv = ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (rv > 0) return {};
    if (rv < 0 && errno != EINTR) return base::fail_errno("poll");
  }
}

TlsSocket::TlsSocket(int fd, TlsContextPtr context)
    : fd_(fd), context_(std::move(context)), ssl_(SSL_new(context_.get())) {
  CHECK(ssl_ != nullptr);
  BIO* const bio = bio_over(fd);
  SSL_set_bio(ssl_.get(), bio, bio);
}

base::Status TlsSocket::wait(int rv, base::Instant deadline, const char* what) {
  switch (SSL_get_error(ssl_.get(), rv)) {
    case SSL_ERROR_WANT_READ:
      return wait_for(fd_, POLLIN, deadline);
    case SSL_ERROR_WANT_WRITE:
      return wait_for(fd_, POLLOUT, deadline);
    case SSL_ERROR_ZERO_RETURN:
      return base::fail(base::ErrorKind::kClosed, fmt::format("{}: the peer closed the connection", what));
    case SSL_ERROR_SYSCALL:
      if (errno != 0) return base::fail_errno(what);
      return base::fail(base::ErrorKind::kClosed, fmt::format("{}: the peer went away", what));
    default:
      return fail_openssl(base::ErrorKind::kInvalid, what);
  }
}

base::Status TlsSocket::handshake(base::Instant deadline) {
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int rv = SSL_do_handshake(ssl_.get());
    if (rv == 1) break;
    const long verdict = SSL_get_verify_result(ssl_.get());
    auto waited = wait(rv, deadline, "TLS handshake");
    if (waited) continue;
    if (verdict == X509_V_OK) return waited;
    return base::fail(base::ErrorKind::kUntrusted,
                      fmt::format("server certificate: {}", X509_verify_cert_error_string(verdict)));
  }
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  if (std::string_view(reinterpret_cast<const char*>(protocol), size) == "h2") return {};
  return base::fail(base::ErrorKind::kInvalid, "TLS handshake: HTTP/2 (ALPN h2) was not agreed");
}

base::Result<TlsSocket> TlsSocket::accept(int fd, TlsContextPtr context, base::Instant deadline) {
  TlsSocket socket(fd, std::move(context));
  SSL_set_accept_state(socket.ssl_.get());
  TRY(socket.handshake(deadline));
  return socket;
}

base::Result<TlsSocket> TlsSocket::connect(int fd, TlsContextPtr context, const std::string& name,
                                           base::Instant deadline) {
  TlsSocket socket(fd, std::move(context));
  SSL* const ssl = socket.ssl_.get();
  if (base::Address::parse(name)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) != 1)
      return fail_openssl(base::ErrorKind::kInvalid, "server address " + name);
  } else {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, name.c_str()) != 1 || SSL_set_tlsext_host_name(ssl, name.c_str()) != 1)
      return fail_openssl(base::ErrorKind::kInvalid, "server name " + name);
  }
  SSL_set_connect_state(ssl);
  TRY(socket.handshake(deadline));
  return socket;
}

base::Result<size_t> TlsSocket::read(std::span<char> into, base::Instant deadline) {
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int rv = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    if (rv > 0) return static_cast<size_t>(rv);
    if (SSL_get_error(ssl_.get(), rv) == SSL_ERROR_ZERO_RETURN) return 0;
    TRY(wait(rv, deadline, "TLS read"));
  }
}

base::Status TlsSocket::write(std::string_view bytes, base::Instant deadline) {
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    const int rv = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
    if (rv <= 0) {
      TRY(wait(rv, deadline, "TLS write"));
      continue;
    }
    bytes.remove_prefix(static_cast<size_t>(rv));
  }
  return {};
}

void TlsSocket::close() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace weft::grpc
