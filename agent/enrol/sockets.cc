#include "agent/enrol/sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace weft::enrol {
namespace {

base::Result<base::Fd> tcp_socket(model::Family family) {
  const int af = family == model::Family::kV4 ? AF_INET : AF_INET6;
  base::Fd socket(::socket(af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return base::fail_errno("socket");
  return socket;
}

base::Status set_option(int socket, int level, int name, int value, const char* what) {
  if (setsockopt(socket, level, name, &value, sizeof value) == 0) return {};
  return base::fail_errno(what);
}

base::Status set_transparent(int socket, model::Family family) {
  if (family == model::Family::kV4) return set_option(socket, SOL_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
  return set_option(socket, SOL_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
}

base::Status bind_and_listen(int socket, const base::SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(&storage);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return base::fail_errno("bind " + address.to_string());
  if (listen(socket, SOMAXCONN) != 0) return base::fail_errno("listen " + address.to_string());
  return {};
}

}  // namespace

base::Result<base::Fd> make_captive_listener(model::Family family) {
  TRY_ASSIGN(base::Fd socket, tcp_socket(family));
  TRY(set_transparent(socket.get(), family));
  const bool v4 = family == model::Family::kV4;
  if (!v4) TRY(set_option(socket.get(), SOL_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  const base::Address loopback =
      v4 ? base::Address::v4(INADDR_LOOPBACK) : base::Address::from(in6_addr(IN6ADDR_LOOPBACK_INIT));
  TRY(bind_and_listen(socket.get(), {loopback, 0}));
  return socket;
}

base::Result<base::Fd> make_plain_listener(const base::SocketAddress& address) {
  const auto family = address.address.is_v4() ? model::Family::kV4 : model::Family::kV6;
  TRY_ASSIGN(base::Fd socket, tcp_socket(family));
  TRY(set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  // A restarted agent opens the port while the proxy still serves the socket of before.
  TRY(set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  if (family == model::Family::kV6) TRY(set_option(socket.get(), SOL_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  TRY(bind_and_listen(socket.get(), address));
  return socket;
}

base::Result<base::Fd> make_stock_socket(model::StockKind kind, model::Family family, uint32_t mark) {
  TRY_ASSIGN(base::Fd socket, tcp_socket(family));
  if (kind == model::StockKind::kOutbound) return socket;
  TRY(set_transparent(socket.get(), family));
  TRY(set_option(socket.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark), "SO_MARK"));
  return socket;
}

}  // namespace weft::enrol
