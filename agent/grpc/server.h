#pragma once
// A small gRPC server for unary calls over TLS. Not the proxy's HTTP/2: that one is built to be fast, this one
// to be short and to bound whatever a hostile peer does.
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "agent/grpc/status.h"
#include "agent/grpc/tls.h"
#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::grpc {

struct Request {
  std::string path;
  Metadata metadata;    // without pseudo headers
  std::string message;  // serialised
  std::string peer;     // address of the caller, for the log
};

// Called in the thread of a connection, so by several threads at once, and bounded in time by its author: while
// it runs its connection does nothing else.
using Handler = std::function<Answer(const Request&)>;

struct ServerOptions {
  base::SocketAddress listen;
  size_t max_connections = 128;          // each costs a thread; one that is idle makes room for a new one
  size_t max_connections_per_peer = 32;  // by address
  size_t max_streams = 32;               // at once in a connection
  size_t max_message = 64 * 1024;        // bytes of a serialised request
  size_t max_headers = 16 * 1024;        // bytes of a header list; a token is about 1.5 KiB
  base::Millis handshake{10'000};        // from accept to the end of the TLS handshake
  base::Millis stream{10'000};           // from a request's first header to the last byte of its answer
  base::Millis idle{60'000};             // a connection without a stream
};

// One writer each or atomic adds; read from any thread.
struct ServerCounters {
  std::atomic<uint64_t> connections{0};          // taken
  std::atomic<uint64_t> connections_refused{0};  // above a bound
  std::atomic<uint64_t> connections_evicted{0};  // idle, closed to make room
  std::atomic<uint64_t> handshake_failures{0};   // TLS, or no h2 in ALPN
  std::atomic<uint64_t> protocol_errors{0};      // broken HTTP/2, headers above the bound
  std::atomic<uint64_t> floods{0};               // connections ended for frames that carry nothing, or resets
  std::atomic<uint64_t> timeouts{0};             // connections ended because a stream or a write took too long
  std::atomic<uint64_t> calls{0};                // answered by a handler
  std::atomic<uint64_t> calls_refused{0};        // answered without one: unknown method, bad frame, too large
};

// Owner: a role. Threads: start() and stop() from the owner's; set_certificate() and counters() from any.
class Server {
 public:
  explicit Server(ServerOptions options);
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // REQUIRES: before start().
  void handle(std::string path, Handler handler);
  // Chain and key, PEM; new connections use them, those that stand keep what they have. A pair that does not
  // fit together is refused and the former one stays.
  base::Status set_certificate(std::string_view chain_pem, std::string_view key_pem);
  // Binds, listens and serves. REQUIRES: a certificate.
  base::Status start();
  // Ends every connection and waits for its thread.
  void stop();
  // Where it listens: the port is known after start() also when 0 was asked for.
  [[nodiscard]] base::SocketAddress address() const { return address_; }
  [[nodiscard]] const ServerCounters& counters() const { return counters_; }

 private:
  struct Guest;
  void accept_all();
  void take(base::Fd fd);
  void reap();
  [[nodiscard]] bool admit(const base::Address& peer);
  [[nodiscard]] bool evict_idle();

  ServerOptions options_;
  std::map<std::string, Handler, std::less<>> handlers_;
  ServerCounters counters_;
  base::SocketAddress address_;
  base::Fd listener_, wake_;
  std::list<std::unique_ptr<Guest>> guests_;  // touched by the accepting thread, and by stop() after it
  std::thread acceptor_;
  base::Mutex mutex_;
  TlsContextPtr tls_ GUARDED_BY(mutex_);
};

}  // namespace weft::grpc
