#include "agent/grpc/server.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "agent/grpc/server_connection.h"

namespace weft::grpc {
namespace {

constexpr int kReapEvery = 1000;  // milliseconds
constexpr int kBacklog = 128;

base::Result<base::Fd> listen_on(const base::SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t size = address.to_sockaddr(&storage);
  base::Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return base::fail_errno("socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0)
    return base::fail_errno("bind " + address.to_string());
  if (::listen(fd.get(), kBacklog) != 0) return base::fail_errno("listen on " + address.to_string());
  return fd;
}

}  // namespace

// A connection with its socket and thread. The socket is closed by the destructor only, after the thread has
// ended: so shutting it down from outside never meets a number that has become another's.
struct Server::Guest {
  Guest(base::Fd socket, const base::Address& from, const ServerOptions& options, const Handlers& handlers,
        ServerCounters& counters, std::string name)
      : fd(std::move(socket)), peer(from), connection(options, handlers, counters, std::move(name)) {}
  ~Guest() {
    end();
    if (thread.joinable()) thread.join();
  }
  void end() const { ::shutdown(fd.get(), SHUT_RDWR); }
  // False when the system has no thread for it.
  bool start(TlsContextPtr context) {
    try {
      thread = std::thread([this, context = std::move(context)] {
        connection.run(fd.get(), context);
        end();
        done.store(true, std::memory_order_release);
      });
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }

  base::Fd fd;
  base::Address peer;
  ServerConnection connection;
  std::atomic<bool> done{false};
  bool evicted = false;
  std::thread thread;
};

Server::Server(ServerOptions options) : options_(std::move(options)) {}

Server::~Server() {
  stop();
}

void Server::handle(std::string path, Handler handler) {
  CHECK(!acceptor_.joinable());
  handlers_[std::move(path)] = std::move(handler);
}

base::Status Server::set_certificate(std::string_view chain_pem, std::string_view key_pem) {
  TRY_ASSIGN(auto context, server_context(chain_pem, key_pem));
  const base::MutexLock lock(mutex_);
  tls_ = std::move(context);
  return {};
}

base::Status Server::start() {
  CHECK(!acceptor_.joinable());
  {
    const base::MutexLock lock(mutex_);
    CHECK(tls_ != nullptr);
  }
  TRY_ASSIGN(listener_, listen_on(options_.listen));
  TRY_ASSIGN(address_, base::local_address(listener_.get()));
  wake_ = base::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return base::fail_errno("eventfd");
  acceptor_ = std::thread([this] { accept_all(); });
  return {};
}

void Server::stop() {
  if (!acceptor_.joinable()) return;
  const uint64_t one = 1;
  CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one);
  acceptor_.join();
  for (const auto& guest : guests_) guest->end();
  guests_.clear();
  listener_.reset();
}

void Server::accept_all() {
  while (true) {
    pollfd entries[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    ::poll(entries, 2, kReapEvery);
    if (entries[1].revents != 0) return;
    reap();
    while (true) {
      base::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd) {
        take(std::move(fd));
        continue;
      }
      // Out of descriptors or memory: try again when some are back, not at once.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) ::poll(&entries[1], 1, 100);
      break;
    }
  }
}

void Server::reap() {
  std::erase_if(guests_, [](const auto& guest) { return guest->done.load(std::memory_order_acquire); });
}

bool Server::evict_idle() {
  Guest* oldest = nullptr;
  for (const auto& guest : guests_) {
    if (guest->evicted || guest->connection.idle_since() == ServerConnection::kBusy) continue;
    if (oldest == nullptr || guest->connection.idle_since() < oldest->connection.idle_since()) oldest = guest.get();
  }
  if (oldest == nullptr) return false;
  oldest->evicted = true;
  oldest->end();
  ++counters_.connections_evicted;
  return true;
}

bool Server::admit(const base::Address& peer) {
  reap();
  const auto same = std::ranges::count_if(guests_, [&](const auto& guest) { return guest->peer == peer; });
  if (static_cast<size_t>(same) >= options_.max_connections_per_peer) return false;
  const auto going = std::ranges::count_if(guests_, [](const auto& guest) { return guest->evicted; });
  if (guests_.size() - static_cast<size_t>(going) < options_.max_connections) return true;
  return evict_idle();
}

void Server::take(base::Fd fd) {
  const auto peer = base::peer_address(fd.get());
  if (!peer) return;  // gone already
  if (!admit(peer->address)) {
    ++counters_.connections_refused;
    return;
  }
  ++counters_.connections;
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  TlsContextPtr context;
  {
    const base::MutexLock lock(mutex_);
    context = tls_;
  }
  auto guest = std::make_unique<Guest>(std::move(fd), peer->address, options_, handlers_, counters_, peer->to_string());
  if (!guest->start(std::move(context))) {
    ++counters_.connections_refused;
    return;
  }
  guests_.push_back(std::move(guest));
}

}  // namespace weft::grpc
