#pragma once
// What enrolling does inside a pod's network namespace. system_netns.h is the real one.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/channel.h"

namespace weft::enrol {

// The mark bit and where it leads: `ip rule priority P fwmark M/M lookup T`, `ip route add local default dev
// lo table T`.
struct Steering {
  uint32_t mark = 0x00800000u;
  uint32_t table = 15008;
  uint32_t priority = 15008;
};

// A connection of an application inside, past the proxy.
struct ArrivedConnection {
  base::SocketAddress local, peer;
  uint64_t cookie = 0;             // of the socket: no other ever gets the same
  uint8_t family = 0;              // of the socket: an IPv6 socket may carry IPv4
  std::array<char, 48> socket{};  // inet_diag_sockid: which one, never another that came after it
};

// One open namespace. Sockets made through it belong to it for life; nothing else ever runs in there.
class PodNetns {
 public:
  virtual ~PodNetns() = default;
  [[nodiscard]] virtual int fd() const = 0;
  [[nodiscard]] virtual uint64_t cookie() const = 0;
  // The file at `path` still is this namespace; false once the pod is gone or another took its name.
  [[nodiscard]] virtual bool is_at(const std::string& path) const = 0;

  // lo is up, tcp_fwmark_accept and fwmark_reflect are on, so that answers to a delivered connection loop as well:
  // the application's, and the reset of a port where nobody listens.
  virtual base::Status prepare() = 0;
  [[nodiscard]] virtual bool is_prepared() const = 0;

  // IP_TRANSPARENT, on loopback and an ephemeral port.
  virtual base::Result<std::vector<base::Fd>> make_listeners(model::Family family, size_t count) = 0;
  virtual base::Result<std::vector<base::Fd>> make_stock(model::StockKind kind, model::Family family,
                                                         size_t count) = 0;

  // Fine if it is there already. `source` is what the pod's own connections show as their address.
  virtual base::Status add_route(model::Family family, const base::Address& source) = 0;
  virtual base::Status add_rule(model::Family family) = 0;
  virtual base::Result<bool> has_route(model::Family family) = 0;
  virtual base::Result<bool> has_rule(model::Family family) = 0;
  // Fine if it is not there.
  virtual base::Status remove_route(model::Family family) = 0;
  virtual base::Status remove_rule(model::Family family) = 0;
  // Connections that need rule and route to stay alive.
  virtual base::Result<size_t> marked_connections() = 0;
  // Open connections of peers to applications that still listen, save those that the proxy carries.
  virtual base::Result<std::vector<ArrivedConnection>> arrived() = 0;
  // All open connections of applications inside, whoever opened them, save those that the proxy carries and those
  // that do not leave the pod.
  virtual base::Result<std::vector<ArrivedConnection>> uncarried() = 0;
  // With a reset; fine if it has ended.
  virtual base::Status cut(const ArrivedConnection& connection) = 0;

  // Readable when a rule, a route or a link of the namespace has changed; forget_changes() before looking.
  [[nodiscard]] virtual int changes_fd() const = 0;
  virtual void forget_changes() = 0;
};

// Opens a netns file.
using NetnsOpener = std::function<base::Result<std::unique_ptr<PodNetns>>(const std::string& path)>;

}  // namespace weft::enrol
