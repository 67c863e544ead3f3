#pragma once
// Rule, route, lo and socket questions to one network namespace. A netlink socket belongs to the namespace it
// was made in, so these are made inside once and used from outside.
#include <libmnl/libmnl.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "agent/enrol/pod_netns.h"

namespace weft::enrol {

// A request-and-answer netlink socket. Made in the calling thread's namespace.
class Netlink {
 public:
  static base::Result<Netlink> open(int protocol);

  // Sends and waits for the acknowledgement. The error carries the kernel's errno.
  base::Status request(nlmsghdr* message);
  // Sends a dump request and calls `each` for every answer.
  base::Status dump(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& each);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}
  base::Status send(nlmsghdr* message);
  base::Status receive(const std::function<void(const nlmsghdr*)>* each);

  std::unique_ptr<mnl_socket, Close> socket_;
  uint32_t sequence_ = 0;
};

base::Status set_loopback_up(Netlink& route);
base::Result<bool> is_loopback_up(Netlink& route);
base::Status add_rule(Netlink& route, model::Family family, const Steering& steering);
base::Status remove_rule(Netlink& route, model::Family family, const Steering& steering);
base::Result<bool> has_rule(Netlink& route, model::Family family, const Steering& steering);
base::Status add_route(Netlink& route, model::Family family, const Steering& steering,
                       const base::Address& source);
base::Status remove_route(Netlink& route, model::Family family, const Steering& steering);
base::Result<bool> has_route(Netlink& route, model::Family family, const Steering& steering);
// Sockets that are not listening and carry the mark. `diag` is a NETLINK_SOCK_DIAG socket.
base::Result<size_t> count_marked(Netlink& diag, uint32_t mark);
// A NETLINK_ROUTE socket that becomes readable when rules, routes or links change.
base::Result<base::Fd> watch_changes();

}  // namespace weft::enrol
