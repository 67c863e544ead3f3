#include "tests/bpf/world.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace weft::test {
namespace {

constexpr int kTable = 15001;

[[noreturn]] void give_up_errno(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

int family_of(Speech speech) {
  return speech == Speech::kV4 ? AF_INET : AF_INET6;
}

// Waits for a connect() under way.
int finish_connect(int socket, std::chrono::milliseconds limit) {
  pollfd ready{.fd = socket, .events = POLLOUT, .revents = 0};
  if (::poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) give_up_errno("SO_ERROR");
  return error;
}

}  // namespace

base::Address address_of(const std::string& text) {
  auto parsed = base::Address::parse(text);
  if (!parsed) throw std::runtime_error(text + " is no address");
  return *parsed;
}

weft_backend backend(const base::SocketAddress& to, uint16_t workload_flags, uint32_t pod_id) {
  weft_backend out{};
  out.address = to_abi(to.address);
  out.port = to.port;
  out.flags = workload_flags;
  out.keep_threshold = UINT32_MAX;
  out.pod_id = pod_id;
  return out;
}

TestPod::TestPod(NodeNet& node, const Cgroup& pods, int number)
    : pods_(&pods), v4_("10.77.0." + std::to_string(number)), v6_("fd77::" + std::to_string(number)) {
  node.attach(netns_, {v4_ + "/24", v6_ + "/64"});
  entry.pod_id = static_cast<uint32_t>(number);
  entry.identity = 100 + entry.pod_id;
  entry.namespace_id = 10 + entry.pod_id;
  entry.listener_slot = WEFT_LISTENERS_PER_POD * (entry.pod_id - 1);
  entry.generation = 1;
  entry.ipv4 = to_abi(address(Speech::kV4));
  entry.ipv6 = to_abi(address(Speech::kV6));
}

base::Address TestPod::address(Speech speech) const {
  return address_of(speech == Speech::kV6 ? v6_ : v4_);
}

World::World(const HookOptions& options) : hooks(pods_cgroup, options), mark(options.mark) {
  hooks.put("exempt_cgroups", weft_exempt_key{agent_cgroup.id()}, weft_exempt{WEFT_EXEMPT_AGENT});
}

// Marked SYNs come back over lo. Without "src" IPv4 would take 127.0.0.1, which leads nowhere from there.
std::string World::loop_commands(const TestPod& pod) const {
  char commands[512];
  std::snprintf(
      commands, sizeof commands,
      "ip route add local default dev lo src %s table %d && ip rule add fwmark 0x%x/0x%x lookup %d && "
      "ip -6 route add local default dev lo src %s table %d && ip -6 rule add fwmark 0x%x/0x%x lookup %d",
      pod.v4().c_str(), kTable, mark, mark, kTable, pod.v6().c_str(), kTable, mark, mark, kTable);
  return commands;
}

void World::arm(TestPod& pod, uint32_t more_flags) {
  for (uint32_t i = WEFT_LISTENER_OUTBOUND4; i < WEFT_LISTENERS_PER_POD; ++i) {
    const bool v4 = i % 2 == 0;
    pod.listeners[i] = listen_at({.netns = &pod.netns(), .cgroup = &agent_cgroup},
                                 {address_of(v4 ? "127.0.0.1" : "::1"), 0}, true);
    const uint32_t slot = pod.entry.listener_slot + i;
    hooks.put("listeners", slot, static_cast<uint64_t>(pod.listeners[i].get()));
  }
  pod.netns().sysctl("net.ipv4.tcp_fwmark_accept", "1");
  set_flags(pod, 0);
  hooks.attach_pod(pod.netns());
  pod.netns().sh(loop_commands(pod));
  set_flags(pod, WEFT_POD_ENROLLED | WEFT_POD_MARKING | more_flags);
  for (Speech speech : {Speech::kV4, Speech::kV6})
    put_workload(pod.address(speech), {.identity = pod.entry.identity,
                                       .namespace_id = pod.entry.namespace_id,
                                       .flags = WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL,
                                       .pod_id = pod.entry.pod_id});
}

void World::write(const TestPod& pod) {
  hooks.put("pods", weft_pod_key{pod.netns().cookie()}, pod.entry);
}

void World::set_flags(TestPod& pod, uint32_t flags) {
  pod.entry.flags = flags;
  write(pod);
}

void World::put_workload(const base::Address& address, const weft_workload& workload) {
  hooks.put("workloads", to_abi(address), workload);
}

uint32_t World::put_service(const base::SocketAddress& address, int protocol, uint32_t flags,
                            const std::vector<weft_backend>& backends, uint32_t affinity_seconds) {
  auto [it, added] = service_ids_.try_emplace(address, static_cast<uint32_t>(service_ids_.size() + 1));
  const uint32_t id = it->second;
  ++generation_;
  for (uint32_t slot = 0; slot < backends.size(); ++slot) {
    const weft_backend& one = backends[slot];
    hooks.put("backends", weft_backend_key{id, generation_, slot}, one);
    if (flags & WEFT_SERVICE_AFFINITY)
      hooks.put("backend_slots", weft_backend_slot_key{one.address, id, one.port, 0},
                weft_backend_slot{generation_, slot});
  }
  weft_service head{};
  head.service_id = id;
  head.generation = generation_;
  head.backend_count = static_cast<uint32_t>(backends.size());
  head.flags = flags;
  head.affinity_seconds = affinity_seconds;
  hooks.put("services",
            weft_service_key{to_abi(address.address), address.port, static_cast<uint8_t>(protocol), 0}, head);
  return id;
}

weft_tuple World::tuple_of(int connected_socket) const {
  weft_tuple out{};
  const base::SocketAddress source = name_of(connected_socket);
  weft_socket rewritten{};
  base::SocketAddress destination = peer_of(connected_socket);
  if (bpf_map_lookup_elem(hooks.map("sockets"), &connected_socket, &rewritten) == 0 &&
      rewritten.backend_port != 0)
    destination = {from_abi(rewritten.backend_address), rewritten.backend_port};
  out.source = to_abi(source.address);
  out.destination = to_abi(destination.address);
  out.source_port = source.port;
  out.destination_port = destination.port;
  return out;
}

socklen_t to_sockaddr(Speech speech, const base::SocketAddress& address, sockaddr_storage* out) {
  std::memset(out, 0, sizeof *out);
  if (speech == Speech::kV4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    std::memcpy(&v4->sin_addr, address.address.bytes.data() + 12, 4);
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address.port);
  std::memcpy(&v6->sin6_addr, address.address.bytes.data(), 16);
  return sizeof *v6;
}

base::Fd listen_at(const Place& place, const base::SocketAddress& address, bool transparent) {
  base::Fd socket;
  inside(place, [&] {
    const bool v4 = address.address.is_v4();
    socket = base::Fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    if (!v4) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (transparent && ::setsockopt(socket.get(), v4 ? SOL_IP : SOL_IPV6,
                                    v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &one, sizeof one) != 0)
      give_up_errno("IP_TRANSPARENT");
    sockaddr_storage storage{};
    const socklen_t length = address.to_sockaddr(&storage);
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0)
      give_up_errno("bind " + address.to_string());
    if (::listen(socket.get(), 1024) != 0) give_up_errno("listen");
  });
  return socket;
}

Dialled dial(const Place& place, Speech speech, const base::SocketAddress& to,
             std::chrono::milliseconds limit, const std::function<void(int)>& before) {
  Dialled out;
  inside(place, [&] {
    out.socket = base::Fd(::socket(family_of(speech), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (before) before(out.socket.get());
    out.error = connect_again(out.socket.get(), speech, to, limit);
  });
  return out;
}

int connect_again(int socket, Speech speech, const base::SocketAddress& to, std::chrono::milliseconds limit) {
  sockaddr_storage storage{};
  const socklen_t length = to_sockaddr(speech, to, &storage);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&storage), length) == 0) return 0;
  return errno == EINPROGRESS ? finish_connect(socket, limit) : errno;
}

base::Fd accept_from(int listener, std::chrono::milliseconds limit) {
  pollfd ready{.fd = listener, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return base::Fd();
  return base::Fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void reset_connection(base::Fd connection) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::string exchange(int a, int b) {
  for (auto [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
    const std::string sent = "weft says " + std::to_string(from);
    if (::send(from, sent.data(), sent.size(), 0) != static_cast<ssize_t>(sent.size()))
      return std::string("send: ") + std::strerror(errno);
    pollfd ready{.fd = to, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 3000) <= 0) return "nothing arrived";
    char text[64] = {};
    const ssize_t got = ::recv(to, text, sizeof text, 0);
    if (got < 0) return std::string("recv: ") + std::strerror(errno);
    if (std::string(text, static_cast<size_t>(got)) != sent) return "other bytes arrived";
  }
  return "";
}

uint32_t mark_of(int socket) {
  uint32_t mark = 0;
  socklen_t length = sizeof mark;
  if (::getsockopt(socket, SOL_SOCKET, SO_MARK, &mark, &length) != 0) give_up_errno("SO_MARK");
  return mark;
}

base::SocketAddress peer_of(int socket) {
  return base::peer_address(socket).value();
}
base::SocketAddress name_of(int socket) {
  return base::local_address(socket).value();
}

}  // namespace weft::test
