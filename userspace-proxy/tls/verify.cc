#include "userspace-proxy/tls/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/connection.h"
#include "userspace-proxy/tls/contexts.h"

namespace weft::tls {
namespace {

using Digest = KnownPeers::Digest;

time_t seconds(base::WallTime when) {
  return std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count();
}

// Over everything the peer sent and what it is to be used for.
std::optional<Digest> digest_of(X509_STORE_CTX* store, Usage usage) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const unsigned char tag = usage == Usage::kClient ? 1 : 2;
  Digest digest;
  bool good = EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1 && EVP_DigestUpdate(hash.get(), &tag, 1) == 1;
  auto feed = [&](X509* certificate) {
    const auto der = der_of(certificate);
    good = good && !der.empty() && EVP_DigestUpdate(hash.get(), der.data(), der.size()) == 1;
  };
  feed(X509_STORE_CTX_get0_cert(store));
  auto* above = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(above); ++i) feed(sk_X509_value(above, i));
  if (!good || EVP_DigestFinal_ex(hash.get(), digest.data(), nullptr) != 1) return std::nullopt;
  return digest;
}

KnownPeers::Known known_of(X509_STORE_CTX* store, model::SpiffeId id) {
  KnownPeers::Known known{std::move(id), base::WallTime::min(), base::WallTime::max()};
  auto* chain = X509_STORE_CTX_get0_chain(store);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    known.not_before = std::max(known.not_before, not_before_of(sk_X509_value(chain, i)));
    known.not_after = std::min(known.not_after, not_after_of(sk_X509_value(chain, i)));
  }
  return known;
}

int refuse(X509_STORE_CTX* store, Connection& connection, int error, std::string why) {
  X509_STORE_CTX_set_error(store, error);
  connection.untrusted = std::move(why);
  return 0;
}

int accept(X509_STORE_CTX* store, Connection& connection, const model::SpiffeId& id, base::WallTime now) {
  if (!connection.accepts(id)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  connection.proven = true;
  connection.peer = id;
  connection.established = now;
  const auto& bundle = connection.contexts.bundle();
  connection.generation = bundle ? bundle->generation() : 0;
  return 1;
}

}  // namespace

size_t KnownPeers::Hash::operator()(const Digest& digest) const {
  size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

const KnownPeers::Known* KnownPeers::find(const Digest& digest, base::WallTime now) const {
  const auto found = known_.find(digest);
  if (found == known_.end() || now < found->second.not_before || now >= found->second.not_after) return nullptr;
  return &found->second;
}

void KnownPeers::keep(const Digest& digest, Known known) {
  if (known_.size() >= kMost) known_.clear();
  known_.insert_or_assign(digest, std::move(known));
}

bool Connection::accepts(const model::SpiffeId& id) {
  if (server) {
    if (id.trust_domain == own.trust_domain) return true;
    untrusted = fmt::format("wrong trust domain: presented {}, ours is {}", id.to_string(), own.trust_domain);
    return false;
  }
  if (std::ranges::find(expected, id) != expected.end()) return true;
  untrusted = fmt::format("wrong identity: presented {}, expected {}", id.to_string(),
                          expected.empty() ? "nobody" : expected.front().to_string());
  if (expected.size() > 1) untrusted += fmt::format(" or one of {} others", expected.size() - 1);
  return false;
}

int verify_peer(X509_STORE_CTX* store, void* /*unused*/) {
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& connection = connection_of(ssl);
  auto& known = connection.contexts.known_peers();
  const auto usage = connection.server ? Usage::kClient : Usage::kServer;
  const auto now = connection.contexts.clock().wall_now();
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (!connection.contexts.bundle())
    return refuse(store, connection, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "there is no trust bundle yet");

  const auto digest = digest_of(store, usage);
  if (const auto* before = digest ? known.find(*digest, now) : nullptr; before != nullptr)
    return accept(store, connection, before->id, now);

  X509_STORE_CTX_set_time(store, 0, seconds(now));
  if (X509_verify_cert(store) != 1) {
    X509* culprit = X509_STORE_CTX_get_current_cert(store);
    const int error = X509_STORE_CTX_get_error(store);
    return refuse(store, connection, error, describe_verify_error(error, culprit != nullptr ? culprit : leaf));
  }
  if (!allows(leaf, usage))
    return refuse(store, connection, X509_V_ERR_INVALID_PURPOSE,
                  describe_verify_error(X509_V_ERR_INVALID_PURPOSE, leaf));
  auto id = identity_of(leaf);
  if (!id) return refuse(store, connection, X509_V_ERR_CERT_REJECTED, id.error().what);
  if (digest) known.keep(*digest, known_of(store, *id));
  return accept(store, connection, *id, now);
}

}  // namespace weft::tls
