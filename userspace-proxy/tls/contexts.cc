#include "userspace-proxy/tls/contexts.h"

#include <openssl/rand.h>

#include "userspace-proxy/tls/blocks.h"
#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/context.h"
#include "userspace-proxy/tls/linger.h"
#include "userspace-proxy/tls/verify.h"

namespace weft::tls {
namespace {

using base::ErrorKind;

// hbone.md 3. ChaCha20 is neither offered nor accepted.
constexpr const char* kSuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
// X25519 first: the cheapest here (OpenSSL 3.0 checks a P-256 share with a multiplication of its own). A peer that has
// P-256 only costs one more round trip.
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr unsigned char kAlpn[] = {2, 'h', '2'};
constexpr long kMaxPeerChain = 32 * 1024;  // bytes
constexpr int kMaxDepth = 8;

std::unexpected<base::Error> broken(std::string_view what) {
  return base::fail(ErrorKind::kSystem, "TLS context: " + std::string(what) + ": " + openssl_complaint());
}

// A peer that offers no ALPN at all would otherwise go through.
int on_client_hello(SSL* ssl, int* alert, void* /*unused*/) {
  const unsigned char* data = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size) == 1)
    return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int on_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned size,
            void* /*unused*/) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAlpn, sizeof kAlpn, in, size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// What both roles have in common.
base::Result<Owned<SSL_CTX>> common(OSSL_LIB_CTX* library, const SSL_METHOD* method, const Credential& own) {
  Owned<SSL_CTX> context(SSL_CTX_new_ex(library, nullptr, method));
  if (!context) return broken("no memory");
  SSL_CTX* c = context.get();
  if (SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 || SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(c, kSuites) != 1 || SSL_CTX_set1_groups_list(c, kGroups) != 1)
    return broken("parameters");
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Off: a peer that sends nothing but handshake messages gives control back after each, and is counted.
  SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_max_cert_list(c, kMaxPeerChain);
  SSL_CTX_set_verify_depth(c, kMaxDepth);
  SSL_CTX_set_cert_verify_callback(c, verify_peer, nullptr);
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const auto& above : own.intermediates) sk_X509_push(chain, above.get());
  const int used = SSL_CTX_use_cert_and_key(c, own.leaf.get(), own.key.get(), chain, 1);
  sk_X509_free(chain);
  if (used != 1) return broken("certificate and key of " + own.id.to_string());
  if (!set_up_mark(c)) return broken("extension");
  return context;
}

}  // namespace

base::Result<TicketSecret> TicketSecret::random() {
  TicketSecret secret;
  if (RAND_bytes(secret.bytes.data(), static_cast<int>(secret.bytes.size())) != 1)
    return base::fail(ErrorKind::kSystem, "random numbers: " + openssl_complaint());
  return secret;
}

base::Result<std::unique_ptr<Context>> Context::create(OSSL_LIB_CTX* library, CredentialPtr credential,
                                                       uint64_t epoch) {
  std::unique_ptr<Context> made(new Context(std::move(credential), epoch));
  TRY_ASSIGN(made->server_, common(library, TLS_server_method(), *made->credential_));
  TRY_ASSIGN(made->client_, common(library, TLS_client_method(), *made->credential_));
  SSL_CTX* server = made->server_.get();
  SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(server, 0);  // see read_mark()
  SSL_CTX_set_max_early_data(server, 0);
  SSL_CTX_set_client_hello_cb(server, on_client_hello, nullptr);
  SSL_CTX_set_alpn_select_cb(server, on_alpn, nullptr);

  SSL_CTX* client = made->client_.get();
  SSL_CTX_set_verify(client, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(client, kAlpn, sizeof kAlpn);
  set_up_sessions(client);
  return made;
}

base::Status Context::set_bundle(X509_STORE* store, uint64_t generation, const TicketSecret& secret) {
  sessions_.clear();
  SSL_CTX_set1_cert_store(server_.get(), store);
  SSL_CTX_set1_cert_store(client_.get(), store);
  if (!set_up_tickets(server_.get(), secret, *credential_, generation)) return broken("tickets");
  return {};
}

Contexts::Contexts(const base::Clock& clock, observe::Counters& counters, const TicketSecret& secret,
                   Library library)
    : clock_(clock),
      counters_(counters),
      secret_(secret),
      library_(std::move(library)),
      known_(std::make_unique<KnownPeers>()),
      blocks_(std::make_unique<Blocks>()),
      lingerers_(std::make_unique<Lingerers>(*blocks_)) {}

Contexts::~Contexts() {
  OPENSSL_cleanse(secret_.bytes.data(), secret_.bytes.size());
}

base::Result<std::unique_ptr<Contexts>> Contexts::create(const base::Clock& clock, observe::Counters& counters,
                                                         const TicketSecret& secret) {
  TRY_ASSIGN(auto library, Library::create());
  std::unique_ptr<Contexts> made(new Contexts(clock, counters, secret, std::move(library)));
  made->store_.reset(X509_STORE_new());
  if (!made->store_) return broken("no memory");
  return made;
}

base::Status Contexts::set(CredentialPtr credential) {
  const auto id = credential->id;
  TRY_ASSIGN(auto made, Context::create(library_.get(), std::move(credential), next_epoch_++));
  TRY(made->set_bundle(store_.get(), bundle_ ? bundle_->generation() : 0, secret_));
  contexts_.insert_or_assign(id, std::move(made));
  return {};
}

void Contexts::forget(const model::SpiffeId& identity) {
  contexts_.erase(identity);
}

base::Status Contexts::set_bundle(TrustBundlePtr bundle) {
  Owned<X509_STORE> store(X509_STORE_new());
  if (!store) return broken("no memory");
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (const auto& root : bundle->roots()) {
    const auto mine = certificate_of(der_of(root.get()), library_.get());
    if (!mine || X509_STORE_add_cert(store.get(), mine.get()) != 1) return broken("a root");
  }
  bundle_ = std::move(bundle);
  store_ = std::move(store);
  known_->clear();
  for (auto& [id, context] : contexts_) TRY(context->set_bundle(store_.get(), bundle_->generation(), secret_));
  return {};
}

CredentialPtr Contexts::credential(const model::SpiffeId& identity) const {
  const auto found = contexts_.find(identity);
  return found == contexts_.end() ? nullptr : found->second->credential();
}

Context* Contexts::find(const model::SpiffeId& identity) {
  const auto found = contexts_.find(identity);
  return found == contexts_.end() ? nullptr : found->second.get();
}

}  // namespace weft::tls
