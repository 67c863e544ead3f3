#include "agent/cni/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/seqpacket.h"

namespace weft::cni {

// One caller: its request, then the answer, then it is over.
class Server::Connection final : public base::Retirable, private base::IoHandler {
 public:
  Connection(Server& server, uint64_t id, base::Fd socket)
      : server_(server),
        id_(id),
        socket_(std::move(socket)),
        timer_(server.loop_.timers(), [this] { time_up(); }) {
    timer_.arm(server_.options_.limit);
  }
  ~Connection() override { stop(); }

  base::Status start() { return server_.loop_.add(socket_.get(), EPOLLIN, this); }
  // No further event.
  void stop() {
    timer_.cancel();
    if (!socket_) return;
    server_.loop_.remove(socket_.get(), this);
    socket_.reset();
  }
  void send(const Answer& answer) const { (void)base::send_packet(socket_.get(), encode(answer)); }
  [[nodiscard]] uint64_t id() const { return id_; }

 private:
  void on_io(uint32_t) override {
    base::Packet packet;
    const base::Io io = base::receive_packet(socket_.get(), kMaxPacketBytes, 0, &packet);
    if (io.kind == base::Io::Kind::kWouldBlock) return;
    // The end, or a second packet: the caller gave up, or does not keep to the protocol.
    if (io.kind != base::Io::Kind::kBytes || asked_) return server_.drop(id_);
    asked_ = true;
    auto request = decode_request(packet.bytes);
    if (request) return server_.handle(*this, *request);
    ++server_.counters_.malformed;
    spdlog::warn("cni: refused a request: {}", base::describe(request.error()));
    server_.answer(id_, {.code = Code::kDecode, .message = base::describe(request.error())});
  }

  void time_up() {
    if (!asked_) return server_.drop(id_);
    ++server_.counters_.timeouts;
    server_.answer(id_,
                   {.code = Code::kTryAgainLater, .message = "the agent has not come to a decision in time"});
  }

  Server& server_;
  const uint64_t id_;
  base::Fd socket_;
  bool asked_ = false;
  base::Timer timer_;
};

Server::Server(base::Loop& loop, Handler& handler, ServerOptions options)
    : loop_(loop), handler_(handler), options_(std::move(options)) {}

base::Result<std::unique_ptr<Server>> Server::create(base::Loop& loop, Handler& handler,
                                                     ServerOptions options) {
  auto server = std::unique_ptr<Server>(new Server(loop, handler, std::move(options)));
  TRY_ASSIGN(server->socket_, base::listen_seqpacket(server->options_.socket_path, 0600));
  TRY(loop.add(server->socket_.get(), EPOLLIN, server.get()));
  return server;
}

Server::~Server() {
  if (socket_) loop_.remove(socket_.get(), this);
  // Retired, since one of them may be on the stack; silenced, since nobody is left to be told.
  while (!connections_.empty()) drop(connections_.begin()->first);
}

void Server::on_io(uint32_t) {
  base::Fd socket(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  ucred peer{};
  socklen_t length = sizeof peer;
  const bool is_root =
      getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0;
  if (!is_root || connections_.size() >= options_.max_connections) {
    ++counters_.refused;
    return;
  }
  const uint64_t id = ++last_id_;
  auto connection = std::make_unique<Connection>(*this, id, std::move(socket));
  if (!connection->start()) return;
  ++counters_.accepted;
  connections_.emplace(id, std::move(connection));
}

void Server::handle(Connection& connection, const Request& request) {
  Reply reply = [this, id = connection.id(), alive = std::weak_ptr<const bool>(alive_)](const Answer& said) {
    if (!alive.expired()) answer(id, said);
  };
  switch (request.command) {
    case Command::kAdd:
      return handler_.on_add(request, std::move(reply));
    case Command::kCheck:
      return handler_.on_check(request, std::move(reply));
    case Command::kDel:
      handler_.on_del(request);
      return reply({.ok = true});
  }
}

void Server::answer(uint64_t id, const Answer& said) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  found->second->send(said);
  ++counters_.answered;
  drop(id);
}

void Server::drop(uint64_t id) {
  auto node = connections_.extract(id);
  if (node.empty()) return;
  node.mapped()->stop();
  loop_.retire(std::move(node.mapped()));
}

}  // namespace weft::cni
