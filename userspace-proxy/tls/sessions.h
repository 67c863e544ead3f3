#pragma once
// Resumption, between weft peers only: what the client keeps and what a ticket says beside its session.
#include <string>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/tls/connection.h"
#include "userspace-proxy/tls/contexts.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

// No session is resumed later than this after its certificates were verified.
inline constexpr base::Nanos kSessionLife = std::chrono::hours(1);

// What the client knows of servers it has talked to, by HandshakeRequest::resume_key. Bounded. Thread: the worker's.
class Sessions {
 public:
  static constexpr size_t kMost = 1024;
  struct Kept {
    Owned<SSL_SESSION> session;
    model::SpiffeId peer;
    uint64_t generation = 0;
    base::WallTime established, peer_not_after;
  };

  void keep(const std::string& key, Kept kept);
  // The session for this connection, if its peer is among those expected and everything it rests on still holds.
  // One that does not is dropped.
  [[nodiscard]] const Kept* find(const Connection& connection, uint64_t generation, base::WallTime now);
  void drop(const std::string& key) { kept_.erase(key); }
  void clear() { kept_.clear(); }
  [[nodiscard]] size_t size() const { return kept_.size(); }

 private:
  std::unordered_map<std::string, Kept> kept_;
};

// Installs the callbacks and keys of a server's tickets, the client's callback for new ones.
[[nodiscard]] bool set_up_tickets(SSL_CTX* server, const TicketSecret& secret, const Credential& own,
                                  uint64_t generation);
void set_up_sessions(SSL_CTX* client);
// The extension by which weft peers know each other, both roles. A server gives tickets to whoever carries it.
[[nodiscard]] bool set_up_mark(SSL_CTX* context);

}  // namespace weft::tls
