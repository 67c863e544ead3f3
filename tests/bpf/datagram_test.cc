// UDP services: connected sockets, unconnected ones, and what the application sees of its peers. Topology:
// world.h.
#include <netinet/in.h>
#include <poll.h>

#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Datagram : public PodsTest {
 protected:
  [[nodiscard]] base::Fd udp_socket(const TestPod& pod) const {
    base::Fd socket;
    inside(pod.place(), [&] {
      const int family = speech() == Speech::kV4 ? AF_INET : AF_INET6;
      socket = base::Fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    });
    return socket;
  }
  [[nodiscard]] base::Fd udp_app(const TestPod& pod, uint16_t port) const {
    base::Fd socket = udp_socket(pod);
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), pod.at(speech(), port), &storage);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length), 0) << std::strerror(errno);
    return socket;
  }
  // 0 or an errno.
  [[nodiscard]] int send_to(int socket, const base::SocketAddress& to, const std::string& text) const {
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), to, &storage);
    return ::sendto(socket, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&storage), length) < 0
               ? errno
               : 0;
  }
  struct Received {
    std::string text;
    base::SocketAddress from;
  };
  [[nodiscard]] static Received receive(int socket) {
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 2000) <= 0) return {"nothing", {}};
    char text[64] = {};
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t got = ::recvfrom(socket, text, sizeof text, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) return {std::strerror(errno), {}};
    return {std::string(text, static_cast<size_t>(got)), base::SocketAddress::from_sockaddr(from)};
  }
  // Receives at `app` and sends the same text back to where it came from.
  void echo(int app) const {
    const Received got = receive(app);
    EXPECT_EQ(got.from.address, client.address(speech()));
    EXPECT_EQ(send_to(app, got.from, got.text), 0);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Datagram, kEverySpeech, name_of_case);

TEST_P(Datagram, AConnectedSocketTalksToABackendAndSeesTheService) {
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_L7, {server_at(5353)});
  const base::Fd app = udp_app(server, 5353), socket = udp_socket(client);
  ASSERT_EQ(connect_again(socket.get(), speech(), vip(53)), 0);
  EXPECT_EQ(peer_of(socket.get()), vip(53));
  ASSERT_EQ(::send(socket.get(), "ping", 4, 0), 4);
  echo(app.get());
  const Received answer = receive(socket.get());
  EXPECT_EQ(answer.text, "ping");
  EXPECT_EQ(answer.from, vip(53));
  EXPECT_EQ(mark_of(socket.get()), 0U) << "UDP is never proxied, whatever the service asks for";
  EXPECT_EQ(count(WEFT_COUNTER_connect_direct_service), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_recvmsg_restored), 1U);
}

TEST_P(Datagram, OneUnconnectedSocketTalksToTwoServicesAndAStranger) {
  world.put_service(vip(53), IPPROTO_UDP, 0, {server_at(5353)});
  world.put_service(vip(54), IPPROTO_UDP, 0, {stranger_at(5454)});
  const base::Fd first = udp_app(server, 5353), second = udp_app(stranger, 5454),
                 third = udp_app(stranger, 5555);
  const base::Fd socket = udp_socket(client);
  const base::SocketAddress plain = stranger.at(speech(), 5555);
  ASSERT_EQ(send_to(socket.get(), vip(53), "one"), 0);
  ASSERT_EQ(send_to(socket.get(), vip(54), "two"), 0);
  ASSERT_EQ(send_to(socket.get(), plain, "three"), 0);
  echo(first.get());
  echo(second.get());
  echo(third.get());
  std::map<std::string, base::SocketAddress> answers;
  for (int i = 0; i < 3; ++i) {
    const Received answer = receive(socket.get());
    answers[answer.text] = answer.from;
  }
  EXPECT_EQ(answers["one"], vip(53));
  EXPECT_EQ(answers["two"], vip(54));
  EXPECT_EQ(answers["three"], plain);
  EXPECT_EQ(count(WEFT_COUNTER_sendmsg_direct), 2U);
  EXPECT_EQ(count(WEFT_COUNTER_recvmsg_restored), 2U);
}

TEST_P(Datagram, AServiceWithoutEndpointsRefusesTheDatagram) {
  world.put_service(vip(53), IPPROTO_UDP, 0, {});
  const base::Fd socket = udp_socket(client);
  EXPECT_EQ(send_to(socket.get(), vip(53), "lost"), ECONNREFUSED);
  EXPECT_EQ(connect_again(socket.get(), speech(), vip(53)), ECONNREFUSED);
  EXPECT_EQ(count(WEFT_COUNTER_sendmsg_refused_no_backend), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_connect_refused_no_backend), 1U);
}

TEST_P(Datagram, AnUnconnectedSocketKeepsItsBackendAndManySocketsShareThemAll) {
  world.put_service(vip(53), IPPROTO_UDP, 0, {server_at(5301), server_at(5302), stranger_at(5303)});
  std::map<int, int> sockets_by_port;
  for (int i = 0; i < 60; ++i) {
    const base::Fd socket = udp_socket(client);
    ASSERT_EQ(send_to(socket.get(), vip(53), "a"), 0);
  }
  // Counted at the flows: each socket wrote exactly one per backend it used.
  weft_udp_flow_key key{}, next{};
  int flows = 0;
  for (bool more = bpf_map_get_next_key(world.hooks.map("udp_flows"), nullptr, &next) == 0; more;
       more = bpf_map_get_next_key(world.hooks.map("udp_flows"), &key, &next) == 0) {
    key = next;
    ++flows;
    ++sockets_by_port[key.backend_port];
  }
  EXPECT_EQ(flows, 60);
  EXPECT_EQ(sockets_by_port.size(), 3U);
  for (const auto& [port, sockets] : sockets_by_port) EXPECT_GT(sockets, 5) << port;
  const base::Fd steady = udp_socket(client);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(send_to(steady.get(), vip(53), "b"), 0);
  flows = 0;
  for (bool more = bpf_map_get_next_key(world.hooks.map("udp_flows"), nullptr, &next) == 0; more;
       more = bpf_map_get_next_key(world.hooks.map("udp_flows"), &key, &next) == 0) {
    key = next;
    ++flows;
  }
  EXPECT_EQ(flows, 61) << "twenty datagrams of one socket, one backend";
}

TEST_P(Datagram, WhoIsNotEnrolledOrIsWeftItselfSendsAsBefore) {
  world.put_service(server.at(speech(), 5353), IPPROTO_UDP, 0, {});
  const base::Fd app = udp_app(server, 5353), outsider = udp_socket(stranger), own = udp_socket(client);
  EXPECT_EQ(send_to(outsider.get(), server.at(speech(), 5353), "outside"), 0);
  EXPECT_EQ(receive(app.get()).text, "outside");
  inside({.netns = &client.netns(), .cgroup = &world.agent_cgroup},
         [&] { EXPECT_EQ(send_to(own.get(), server.at(speech(), 5353), "agent"), 0); });
  EXPECT_EQ(receive(app.get()).text, "agent");
  EXPECT_EQ(send_to(own.get(), server.at(speech(), 5353), "pod"), ECONNREFUSED);
}

TEST_P(Datagram, AStrictPodStillReceivesDatagrams) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_INBOUND_PROXY);
  const base::Fd app = udp_app(server, 5353), outsider = udp_socket(stranger);
  EXPECT_EQ(send_to(outsider.get(), server.at(speech(), 5353), "plain"), 0);
  EXPECT_EQ(receive(app.get()).text, "plain");
  EXPECT_EQ(count(WEFT_COUNTER_lookup_datagram), 1U);
}

}  // namespace
}  // namespace weft::test
