#include "userspace-proxy/tls/sessions.h"

#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/context.h"

namespace weft::tls {
namespace {

// Private use, RFC 8446 11 and RFC 8701: unknown to everybody else, who ignores it.
constexpr unsigned kMark = 0xff57;
constexpr unsigned char kMarkVersion = 1;
constexpr size_t kMostSideChain = 16 * 1024;  // bytes of intermediates a ticket may carry

base::WallTime wall(int64_t seconds) {
  return base::WallTime(std::chrono::seconds(seconds));
}

// --- what a ticket says beside its session: when and under which bundle the peer was proven, and its chain

struct SideNote {
  uint64_t generation = 0;
  base::WallTime established;
  std::vector<CertPtr> intermediates;
};

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
bool get(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

// Read by this process only: the ticket is sealed with a key that never leaves it.
std::string encode(const Connection& connection, STACK_OF(X509) * chain) {
  std::string out;
  put(out, connection.generation);
  put(out, std::chrono::floor<std::chrono::seconds>(connection.established).time_since_epoch().count());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const auto der = der_of(sk_X509_value(chain, i));
    put(out, static_cast<uint32_t>(der.size()));
    out += der;
  }
  return out;
}

std::optional<SideNote> decode(std::string_view in) {
  SideNote note;
  int64_t established = 0;
  if (!get(in, note.generation) || !get(in, established)) return std::nullopt;
  note.established = wall(established);
  while (!in.empty()) {
    uint32_t size = 0;
    if (!get(in, size) || in.size() < size) return std::nullopt;
    auto certificate = certificate_of(in.substr(0, size));
    if (!certificate) return std::nullopt;
    note.intermediates.push_back(std::move(certificate));
    in.remove_prefix(size);
  }
  return note;
}

// --- the server's side

// Called before a ticket is made. 0 would end the connection.
int on_new_ticket(SSL* ssl, void* /*unused*/) {
  const auto& connection = connection_of(ssl);
  SSL_SESSION* session = SSL_get_session(ssl);
  X509* leaf = SSL_SESSION_get0_peer(session);
  if (leaf == nullptr) return 1;
  auto note = encode(connection, SSL_get_peer_cert_chain(ssl));
  if (note.size() > kMostSideChain) note.clear();  // then the ticket is not worth anything
  const auto now = connection.contexts.clock().wall_now();
  const auto own = connection.contexts.credential(connection.own);
  auto life = std::min<base::Nanos>(kSessionLife, not_after_of(leaf) - now);
  if (own) life = std::min<base::Nanos>(life, own->not_after - now);
  SSL_SESSION_set_timeout(session, std::max<long>(1, std::chrono::floor<std::chrono::seconds>(life).count()));
  SSL_SESSION_set1_ticket_appdata(session, note.data(), note.size());
  return 1;
}

// Whether the session in a ticket may still be resumed; the connection then takes over what was proven.
bool still_good(Connection& connection, SSL_SESSION* session) {
  void* data = nullptr;
  size_t size = 0;
  X509* leaf = SSL_SESSION_get0_peer(session);
  const auto& bundle = connection.contexts.bundle();
  if (leaf == nullptr || !bundle || SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1) return false;
  auto note = decode({static_cast<const char*>(data), size});
  const auto now = connection.contexts.clock().wall_now();
  if (!note || note->generation != bundle->generation() || now >= not_after_of(leaf) ||
      now >= note->established + kSessionLife)
    return false;
  const auto id = identity_of(leaf);
  if (!id || id->trust_domain != connection.own.trust_domain) return false;
  connection.proven = true;
  connection.peer = *id;
  connection.generation = note->generation;
  connection.established = note->established;
  connection.resumed_intermediates = std::move(note->intermediates);
  return true;
}

SSL_TICKET_RETURN on_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char* /*name*/, size_t /*size*/,
                            SSL_TICKET_STATUS status, void* /*unused*/) {
  // Refused means a full handshake that ends with a new ticket; one that holds is not renewed, so that its hour ends.
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return still_good(connection_of(ssl), session) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
}

// 80 bytes: name, HMAC key and AES key of the tickets of one identity, leaf and bundle generation.
std::array<unsigned char, 80> ticket_keys(const TicketSecret& secret, const std::string& bound_to) {
  std::array<unsigned char, 96> derived;
  for (unsigned char i = 0; i < 3; ++i) {
    const std::string input = static_cast<char>('1' + i) + bound_to;
    HMAC(EVP_sha256(), secret.bytes.data(), static_cast<int>(secret.bytes.size()),
         reinterpret_cast<const unsigned char*>(input.data()), input.size(), derived.data() + i * 32, nullptr);
  }
  std::array<unsigned char, 80> keys;
  std::copy_n(derived.begin(), keys.size(), keys.begin());
  OPENSSL_cleanse(derived.data(), derived.size());
  return keys;
}

// --- the client's side

// Called for every ticket; 1 keeps the reference to the session.
int on_new_session(SSL* ssl, SSL_SESSION* session) {
  auto& connection = connection_of(ssl);
  if (!connection.peer_is_weft || !connection.proven || connection.resume_key.empty()) return 0;
  Context* context = connection.contexts.find(connection.own);
  const auto& bundle = connection.contexts.bundle();
  X509* leaf = SSL_SESSION_get0_peer(session);
  if (context == nullptr || context->epoch() != connection.epoch || !bundle || leaf == nullptr ||
      bundle->generation() != connection.generation)
    return 0;
  context->sessions().keep(connection.resume_key,
                           {Owned<SSL_SESSION>(session), connection.peer, connection.generation,
                            connection.established, not_after_of(leaf)});
  return 1;
}

// --- the mark

int add_mark(SSL* /*ssl*/, unsigned /*type*/, unsigned /*context*/, const unsigned char** out, size_t* size,
             X509* /*x*/, size_t /*index*/, int* /*alert*/, void* /*arg*/) {
  *out = &kMarkVersion;
  *size = 1;
  return 1;
}

int read_mark(SSL* ssl, unsigned /*type*/, unsigned /*context*/, const unsigned char* /*in*/, size_t /*size*/,
              X509* /*x*/, size_t /*index*/, int* /*alert*/, void* /*arg*/) {
  auto& connection = connection_of(ssl);
  connection.peer_is_weft = true;
  if (connection.server) SSL_set_num_tickets(ssl, 1);
  return 1;
}

}  // namespace

void Sessions::keep(const std::string& key, Kept kept) {
  if (kept_.size() >= kMost && !kept_.contains(key)) kept_.clear();
  kept_.insert_or_assign(key, std::move(kept));
}

const Sessions::Kept* Sessions::find(const Connection& connection, uint64_t generation, base::WallTime now) {
  const auto found = kept_.find(connection.resume_key);
  if (connection.resume_key.empty() || found == kept_.end()) return nullptr;
  const auto& kept = found->second;
  const bool stale = kept.generation != generation || now >= kept.peer_not_after ||
                     now >= kept.established + kSessionLife || SSL_SESSION_is_resumable(kept.session.get()) != 1;
  if (stale) {
    kept_.erase(found);
    return nullptr;
  }
  const bool expected = std::ranges::find(connection.expected, kept.peer) != connection.expected.end();
  return expected ? &kept : nullptr;
}

bool set_up_tickets(SSL_CTX* server, const TicketSecret& secret, const Credential& own, uint64_t generation) {
  std::string bound_to = own.id.to_string() + '\n';
  put(bound_to, generation);
  std::array<unsigned char, EVP_MAX_MD_SIZE> context_id;
  unsigned size = 0;
  if (EVP_Digest(bound_to.data(), bound_to.size(), context_id.data(), &size, EVP_sha256(), nullptr) != 1) return false;
  auto keys = ticket_keys(secret, bound_to + own.serial);
  const bool good = SSL_CTX_set_session_id_context(server, context_id.data(), size) == 1 &&
                    SSL_CTX_set_tlsext_ticket_keys(server, keys.data(), keys.size()) == 1 &&
                    SSL_CTX_set_session_ticket_cb(server, on_new_ticket, on_ticket, nullptr) == 1;
  OPENSSL_cleanse(keys.data(), keys.size());
  return good;
}

void set_up_sessions(SSL_CTX* client) {
  SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(client, on_new_session);
}

bool set_up_mark(SSL_CTX* context) {
  return SSL_CTX_add_custom_ext(context, kMark, SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS, add_mark,
                                nullptr, nullptr, read_mark, nullptr) == 1;
}

}  // namespace weft::tls
