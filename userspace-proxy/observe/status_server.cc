#include "userspace-proxy/observe/status_server.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <cerrno>

#include "userspace-proxy/base/transport.h"

namespace weft::observe {
namespace {

std::string_view reason_of(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 500:
      return "Internal Server Error";
    default:
      return "Unknown";
  }
}

std::string encode(const StatusReply& reply, bool with_body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}", reply.code,
      reason_of(reply.code), reply.content_type, reply.body.size(), with_body ? reply.body : "");
}

}  // namespace

bool parse_request(std::string_view head, StatusRequest* out) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first + 1 || !line.substr(last + 1).starts_with("HTTP/1."))
    return false;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!target.starts_with('/')) return false;
  const size_t question = target.find('?');
  out->method = line.substr(0, first);
  out->path = target.substr(0, question);
  out->query = question == std::string_view::npos ? "" : target.substr(question + 1);
  return true;
}

// One request: read the head, answer, wait for the last byte to leave.
class StatusServer::Connection final : public base::Retirable, private base::TransportHandler {
 public:
  Connection(StatusServer& server, const StatusHandler& handler, base::Fd socket)
      : server_(server),
        handler_(handler),
        transport_(std::move(socket)),
        timer_(server.loop_.timers(), [this] { server_.retire(*this); }) {}

  void start() {
    timer_.arm(kTimeout);
    if (!transport_.attach(server_.loop_, this)) server_.retire(*this);
  }
  std::list<std::unique_ptr<Connection>>::iterator place;
  bool retired = false;

 private:
  void on_readable() override {
    char block[2048];
    while (!retired) {
      const base::Io io = transport_.read(block);
      if (io.kind == base::Io::Kind::kWouldBlock) return;
      const bool finished = io.kind == base::Io::Kind::kEnd && !out_.empty();
      if (io.kind != base::Io::Kind::kBytes && !finished) return server_.retire(*this);
      if (finished) return;
      if (!out_.empty()) continue;  // what comes after the request is not read
      in_.append(block, io.bytes);
      if (in_.find("\r\n\r\n") != std::string::npos) answer();
      if (in_.size() > kMaxHead) return server_.retire(*this);
    }
  }

  void answer() {
    StatusRequest request;
    StatusReply reply{.code = 400, .body = "this is not an HTTP/1 request\n"};
    if (parse_request(in_, &request)) reply = handler_(request);
    out_ = encode(reply, request.method != "HEAD");
    on_writable();
  }

  void on_writable() override {
    while (sent_ < out_.size() && !retired) {
      const iovec piece{out_.data() + sent_, out_.size() - sent_};
      const base::Io io = transport_.write({&piece, 1});
      if (io.kind == base::Io::Kind::kWouldBlock) return;
      if (io.kind != base::Io::Kind::kBytes) return server_.retire(*this);
      sent_ += io.bytes;
    }
    if (out_.empty() || retired) return;
    transport_.shutdown_write();
    server_.retire(*this);
  }

  StatusServer& server_;
  const StatusHandler& handler_;
  base::TcpTransport transport_;
  base::Timer timer_;
  std::string in_, out_;
  size_t sent_ = 0;
};

class StatusServer::Port final : private base::IoHandler {
 public:
  Port(StatusServer& server, base::Fd listener, StatusHandler handler)
      : server_(server), listener_(std::move(listener)), handler_(std::move(handler)) {}
  ~Port() override { server_.loop_.remove(listener_.get(), this); }
  base::Status start() { return server_.loop_.add(listener_.get(), EPOLLIN | EPOLLET, this); }

 private:
  // Edge-triggered: when descriptors have run out, what is left in the queue waits for the next arrival.
  void on_io(uint32_t) override {
    while (true) {
      base::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) return;
      if (server_.connections_.size() < kMaxConnections) take(std::move(socket));
    }
  }

  void take(base::Fd socket) {
    server_.connections_.push_front(std::make_unique<Connection>(server_, handler_, std::move(socket)));
    Connection& connection = *server_.connections_.front();
    connection.place = server_.connections_.begin();
    connection.start();
  }

  StatusServer& server_;
  base::Fd listener_;
  StatusHandler handler_;
};

StatusServer::StatusServer(base::Loop& loop) : loop_(loop) {}

StatusServer::~StatusServer() {
  connections_.clear();
  ports_.clear();
}

base::Result<base::Fd> StatusServer::bind(const base::SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(&storage);
  base::Fd socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return base::fail_errno("socket");
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return base::fail_errno("bind " + address.to_string());
  if (::listen(socket.get(), 64) != 0) return base::fail_errno("listen " + address.to_string());
  return socket;
}

base::Status StatusServer::serve(base::Fd listener, StatusHandler handler) {
  ports_.push_back(std::make_unique<Port>(*this, std::move(listener), std::move(handler)));
  return ports_.back()->start();
}

void StatusServer::retire(Connection& connection) {
  if (connection.retired) return;
  connection.retired = true;
  auto dying = std::move(*connection.place);
  connections_.erase(connection.place);
  loop_.retire(std::move(dying));
}

}  // namespace weft::observe
