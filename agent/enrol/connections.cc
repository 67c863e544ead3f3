#include "agent/enrol/connections.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>

namespace weft::enrol {
namespace {

constexpr uint32_t kOpenStates = 1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 |
                                 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING;

struct alignas(nlmsghdr) Message {
  std::array<char, 256> bytes{};
};

inet_diag_req_v2* begin(Message& buffer, uint16_t type, uint16_t flags, uint8_t family) {
  nlmsghdr* head = mnl_nlmsg_put_header(buffer.bytes.data());
  head->nlmsg_type = type;
  head->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(head, sizeof(inet_diag_req_v2)));
  request->sdiag_family = family;
  request->sdiag_protocol = IPPROTO_TCP;
  return request;
}

base::SocketAddress address_of(uint8_t family, const __be32 (&words)[4], __be16 port) {
  base::SocketAddress out;
  out.port = ntohs(port);
  if (family == AF_INET) {
    out.address = base::Address::v4(ntohl(words[0]));
  } else {
    std::memcpy(out.address.bytes.data(), words, sizeof words);
  }
  return out;
}

// The proxy's, by what only weft's sockets have.
bool is_proxys(const nlmsghdr* answer, uint32_t mark) {
  bool proxys = false;
  const char* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(answer));
  for (auto* attribute =
           static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(answer, sizeof(inet_diag_msg)));
       mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    const uint16_t length = mnl_attr_get_payload_len(attribute);
    if (mnl_attr_get_type(attribute) == INET_DIAG_MARK && length >= sizeof(uint32_t))
      proxys |= (mnl_attr_get_u32(attribute) & mark) != 0;
    if (mnl_attr_get_type(attribute) == INET_DIAG_SOCKOPT && length >= sizeof(inet_diag_sockopt))
      proxys |= static_cast<const inet_diag_sockopt*>(mnl_attr_get_payload(attribute))->transparent != 0;
  }
  return proxys;
}

// What the applications inside listen on.
class Doors {
 public:
  void add(const base::SocketAddress& address) {
    if (address.address.is_unspecified()) {
      anywhere_.insert(address.port);
    } else {
      at_.insert(address);
    }
  }
  [[nodiscard]] bool lead_to(const base::SocketAddress& address) const {
    return anywhere_.contains(address.port) || at_.contains(address);
  }

 private:
  std::set<uint16_t> anywhere_;
  std::set<base::SocketAddress> at_;
};

// Every socket in these states that is not the proxy's, with its state.
base::Status for_each_socket(Netlink& diag, uint32_t states, uint32_t mark,
                             const std::function<void(const ArrivedConnection&, uint8_t state)>& take) {
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    Message buffer;
    begin(buffer, SOCK_DIAG_BY_FAMILY, 0, family)->idiag_states = states;
    TRY(diag.dump(reinterpret_cast<nlmsghdr*>(buffer.bytes.data()), [&](const nlmsghdr* answer) {
      if (mnl_nlmsg_get_payload_len(answer) < sizeof(inet_diag_msg) || is_proxys(answer, mark)) return;
      const auto* one = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(answer));
      ArrivedConnection found{.local = address_of(one->idiag_family, one->id.idiag_src, one->id.idiag_sport),
                              .peer = address_of(one->idiag_family, one->id.idiag_dst, one->id.idiag_dport),
                              .cookie = uint64_t{one->id.idiag_cookie[1]} << 32 | one->id.idiag_cookie[0],
                              .family = one->idiag_family};
      static_assert(sizeof found.socket == sizeof one->id);
      std::memcpy(found.socket.data(), &one->id, sizeof one->id);
      take(found, one->idiag_state);
    }));
  }
  return {};
}

}  // namespace

base::Result<std::vector<ArrivedConnection>> list_uncarried(Netlink& diag, uint32_t mark) {
  std::vector<ArrivedConnection> out;
  TRY(for_each_socket(diag, kOpenStates, mark, [&](const ArrivedConnection& found, uint8_t) {
    if (found.local.address != found.peer.address && !found.peer.address.is_loopback()) out.push_back(found);
  }));
  return out;
}

base::Result<std::vector<ArrivedConnection>> list_arrived(Netlink& diag, uint32_t mark) {
  Doors doors;
  std::vector<ArrivedConnection> out;
  TRY(for_each_socket(diag, kOpenStates | 1u << TCP_LISTEN, mark,
                      [&](const ArrivedConnection& found, uint8_t state) {
                        if (state == TCP_LISTEN) {
                          doors.add(found.local);
                        } else {
                          out.push_back(found);
                        }
                      }));
  std::erase_if(out, [&](const ArrivedConnection& one) { return !doors.lead_to(one.local); });
  return out;
}

base::Status destroy(Netlink& diag, const ArrivedConnection& connection) {
  Message buffer;
  auto* request = begin(buffer, SOCK_DESTROY, NLM_F_ACK, connection.family);
  request->idiag_states = kOpenStates;
  std::memcpy(&request->id, connection.socket.data(), sizeof request->id);
  auto done = diag.request(reinterpret_cast<nlmsghdr*>(buffer.bytes.data()));
  if (!done && done.error().sys_errno == ENOENT) return {};
  return done;
}

}  // namespace weft::enrol
