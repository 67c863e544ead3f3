#include "agent/enrol/netlink.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace weft::enrol {
namespace {

constexpr int kLoopback = 1;          // ifindex of lo, in every namespace
constexpr uint8_t kOurProtocol = 87;  // of rules and routes: whose they are, for people and routing daemons
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};
// A connection in TIME_WAIT has nothing more to say that could get lost.
constexpr uint32_t kLiveStates = 0xfff & ~(1u << TCP_LISTEN) & ~(1u << TCP_CLOSE) & ~(1u << TCP_TIME_WAIT);

struct alignas(nlmsghdr) Message {
  std::array<char, 1024> bytes{};
  nlmsghdr* begin(uint16_t type, uint16_t flags) {
    nlmsghdr* head = mnl_nlmsg_put_header(bytes.data());
    head->nlmsg_type = type;
    head->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    return head;
  }
};

int af_of(model::Family family) {
  return family == model::Family::kV4 ? AF_INET : AF_INET6;
}

uint32_t attribute_u32(const nlmsghdr* message, size_t header_size, uint16_t type, uint32_t otherwise) {
  const char* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, header_size));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    if (mnl_attr_get_type(attribute) == type && mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t))
      return mnl_attr_get_u32(attribute);
    attribute = mnl_attr_next(attribute);
  }
  return otherwise;
}

base::Status fine_if(base::Status status, std::initializer_list<int> numbers) {
  if (status) return status;
  for (const int number : numbers)
    if (status.error().sys_errno == number) return {};
  return status;
}

nlmsghdr* rule_message(Message& buffer, uint16_t type, uint16_t flags, model::Family family,
                       const Steering& steering) {
  nlmsghdr* message = buffer.begin(type, flags);
  auto* rule = static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)));
  rule->family = static_cast<uint8_t>(af_of(family));
  rule->action = FR_ACT_TO_TBL;
  mnl_attr_put_u32(message, FRA_PRIORITY, steering.priority);
  mnl_attr_put_u32(message, FRA_FWMARK, steering.mark);
  mnl_attr_put_u32(message, FRA_FWMASK, steering.mark);
  mnl_attr_put_u32(message, FRA_TABLE, steering.table);
  mnl_attr_put_u8(message, FRA_PROTOCOL, kOurProtocol);
  return message;
}

nlmsghdr* route_message(Message& buffer, uint16_t type, uint16_t flags, model::Family family,
                        const Steering& steering) {
  nlmsghdr* message = buffer.begin(type, flags);
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
  route->rtm_family = static_cast<uint8_t>(af_of(family));
  route->rtm_table = RT_TABLE_UNSPEC;
  route->rtm_protocol = kOurProtocol;
  route->rtm_scope = family == model::Family::kV4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  route->rtm_type = RTN_LOCAL;
  mnl_attr_put_u32(message, RTA_TABLE, steering.table);
  mnl_attr_put_u32(message, RTA_OIF, kLoopback);
  return message;
}

}  // namespace

base::Result<Netlink> Netlink::open(int protocol) {
  Netlink netlink(mnl_socket_open2(protocol, SOCK_CLOEXEC));
  if (!netlink.socket_) return base::fail_errno("netlink socket");
  if (mnl_socket_bind(netlink.socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return base::fail_errno("netlink bind");
  const int fd = mnl_socket_get_fd(netlink.socket_.get());
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0)
    return base::fail_errno("netlink time-out");
  return netlink;
}

base::Status Netlink::send(nlmsghdr* message) {
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0)
    return base::fail_errno("netlink send");
  return {};
}

base::Status Netlink::receive(const std::function<void(const nlmsghdr*)>* each) {
  std::array<char, 32768> buffer;
  const auto visit = [](const nlmsghdr* message, void* data) {
    const auto* callback = static_cast<const std::function<void(const nlmsghdr*)>*>(data);
    if (callback != nullptr) (*callback)(message);
    return MNL_CB_OK;
  };
  void* data = const_cast<std::function<void(const nlmsghdr*)>*>(each);
  const unsigned port = mnl_socket_get_portid(socket_.get());
  while (true) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (got < 0) return base::fail_errno("netlink receive");
    const int verdict = mnl_cb_run(buffer.data(), static_cast<size_t>(got), sequence_, port, visit, data);
    // An answer to an earlier request that had timed out.
    if (verdict < 0 && errno == EPROTO) continue;
    if (verdict < 0) return base::fail_errno("netlink");
    if (verdict == MNL_CB_STOP) return {};
  }
}

base::Status Netlink::request(nlmsghdr* message) {
  message->nlmsg_flags |= NLM_F_ACK;
  TRY(send(message));
  return receive(nullptr);
}

base::Status Netlink::dump(nlmsghdr* message, const std::function<void(const nlmsghdr*)>& each) {
  message->nlmsg_flags |= NLM_F_DUMP;
  TRY(send(message));
  return receive(&each);
}

base::Status set_loopback_up(Netlink& route) {
  Message buffer;
  nlmsghdr* message = buffer.begin(RTM_NEWLINK, 0);
  auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
  link->ifi_index = kLoopback;
  link->ifi_flags = IFF_UP;
  link->ifi_change = IFF_UP;
  return route.request(message);
}

base::Result<bool> is_loopback_up(Netlink& route) {
  Message buffer;
  nlmsghdr* message = buffer.begin(RTM_GETLINK, 0);
  mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
  bool up = false;
  TRY(route.dump(message, [&](const nlmsghdr* answer) {
    const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(answer));
    if (link->ifi_index == kLoopback) up = (link->ifi_flags & IFF_UP) != 0;
  }));
  return up;
}

base::Status add_rule(Netlink& route, model::Family family, const Steering& steering) {
  Message buffer;
  return fine_if(
      route.request(rule_message(buffer, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, steering)),
      {EEXIST});
}

base::Status remove_rule(Netlink& route, model::Family family, const Steering& steering) {
  Message buffer;
  return fine_if(route.request(rule_message(buffer, RTM_DELRULE, 0, family, steering)), {ENOENT});
}

base::Result<bool> has_rule(Netlink& route, model::Family family, const Steering& steering) {
  Message buffer;
  nlmsghdr* message = buffer.begin(RTM_GETRULE, 0);
  auto* head = static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)));
  head->family = static_cast<uint8_t>(af_of(family));
  bool found = false;
  TRY(route.dump(message, [&](const nlmsghdr* answer) {
    const auto* rule = static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(answer));
    const auto has = [&](uint16_t type, uint32_t value) {
      return attribute_u32(answer, sizeof *rule, type, 0) == value;
    };
    if (rule->action == FR_ACT_TO_TBL && rule->src_len == 0 && rule->dst_len == 0 &&
        has(FRA_PRIORITY, steering.priority) && has(FRA_FWMARK, steering.mark) &&
        has(FRA_FWMASK, steering.mark) && has(FRA_TABLE, steering.table))
      found = true;
  }));
  return found;
}

base::Status add_route(Netlink& route, model::Family family, const Steering& steering,
                       const base::Address& source) {
  Message buffer;
  nlmsghdr* message = route_message(buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family, steering);
  const bool v4 = family == model::Family::kV4;
  mnl_attr_put(message, RTA_PREFSRC, v4 ? 4 : 16, source.bytes.data() + (v4 ? 12 : 0));
  return route.request(message);
}

base::Status remove_route(Netlink& route, model::Family family, const Steering& steering) {
  Message buffer;
  return fine_if(route.request(route_message(buffer, RTM_DELROUTE, 0, family, steering)), {ESRCH, ENOENT});
}

base::Result<bool> has_route(Netlink& route, model::Family family, const Steering& steering) {
  Message buffer;
  nlmsghdr* message = buffer.begin(RTM_GETROUTE, 0);
  auto* head = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
  head->rtm_family = static_cast<uint8_t>(af_of(family));
  bool found = false;
  TRY(route.dump(message, [&](const nlmsghdr* answer) {
    const auto* one = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(answer));
    if (one->rtm_type == RTN_LOCAL && one->rtm_dst_len == 0 &&
        attribute_u32(answer, sizeof *one, RTA_TABLE, one->rtm_table) == steering.table &&
        attribute_u32(answer, sizeof *one, RTA_OIF, 0) == kLoopback)
      found = true;
  }));
  return found;
}

base::Result<size_t> count_marked(Netlink& diag, uint32_t mark) {
  size_t count = 0;
  for (const int family : {AF_INET, AF_INET6}) {
    Message buffer;
    nlmsghdr* message = buffer.begin(SOCK_DIAG_BY_FAMILY, 0);
    auto* request =
        static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
    request->sdiag_family = static_cast<uint8_t>(family);
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_states = kLiveStates;
    TRY(diag.dump(message, [&](const nlmsghdr* answer) {
      if ((attribute_u32(answer, sizeof(inet_diag_msg), INET_DIAG_MARK, 0) & mark) != 0) ++count;
    }));
  }
  return count;
}

base::Result<base::Fd> watch_changes() {
  base::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket) return base::fail_errno("netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  for (const int group :
       {RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE})
    address.nl_groups |= 1u << (group - 1);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return base::fail_errno("netlink bind");
  return socket;
}

}  // namespace weft::enrol
