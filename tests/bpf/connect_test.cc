// What the connect hooks do with the sockets of an enrolled pod. Topology: world.h.
#include <netinet/in.h>

#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Connect : public PodsTest {};
INSTANTIATE_TEST_SUITE_P(Each, Connect, kEverySpeech, name_of_case);

TEST_P(Connect, AServiceIsRewrittenToItsBackendAndLooksLikeTheService) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  const base::Fd app = app_at(server, 8080);
  const Dialled call = dial_from(client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_EQ(name_of(call.socket.get()).address, client.address(speech()));
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(name_of(accepted.get()), server.at(speech(), 8080));
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(mark_of(call.socket.get()), 0U);
  EXPECT_EQ(count(WEFT_COUNTER_connect_direct_service), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_getpeername_restored), 1U);
}

TEST_P(Connect, AServiceWhoseBackendIsOutsideTheMeshGoesDirect) {
  world.put_service(vip(), IPPROTO_TCP, 0, {stranger_at(8080)});
  const base::Fd app = app_at(stranger, 8080);
  const Dialled call = dial_from(client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_connect_direct_service), 1U);
}

TEST_P(Connect, AServiceThatNeedsHttpGoesToTheProxyWithAllAddressesTrue) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  const Dialled call = dial_from(client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), vip());
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_EQ(name_of(call.socket.get()).address, client.address(speech()));
  EXPECT_EQ(mark_of(call.socket.get()), world.mark);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_layer7), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_lookup_outbound), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_getpeername_restored), 0U);
}

TEST_P(Connect, TheSelfTestReachesTheProxyWithoutAnyBackend) {
  const base::SocketAddress test{address_of(speech() == Speech::kV6 ? "2001:db8::1" : "192.0.2.1"), 15021};
  world.put_service(test, IPPROTO_TCP, WEFT_SERVICE_SELF_TEST, {});
  EXPECT_EQ(dial_from(client, test).error, 0);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), test);
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_self_test), 1U);
}

TEST_P(Connect, AServiceWithARemoteBackendGoesToTheProxyUnderTheServicesAddress) {
  weft_backend remote = stranger_at(8080);
  remote.flags = WEFT_WORKLOAD_ENROLLED;
  world.put_service(vip(), IPPROTO_TCP, 0, {remote});
  EXPECT_EQ(dial_from(client, vip()).error, 0);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), vip());
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_remote), 1U);
}

TEST_P(Connect, ARemoteWorkloadCalledByItsAddressGoesToTheProxy) {
  make_stranger_remote();
  EXPECT_EQ(dial_from(client, stranger.at(speech(), 8080)).error, 0);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), stranger.at(speech(), 8080));
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_remote), 1U);
}

TEST_P(Connect, ALocalWorkloadCalledByItsAddressGoesDirect) {
  const base::Fd app = app_at(server, 8080);
  const Dialled call = dial_from(client, server.at(speech(), 8080));
  ASSERT_EQ(call.error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(peer_of(call.socket.get()), server.at(speech(), 8080));
  EXPECT_EQ(count(WEFT_COUNTER_connect_direct_workload), 1U);
}

TEST_P(Connect, APodOfThisNodeIsCalledThroughTheProxyIfItAsksForTls) {
  show_server_policy(WEFT_WORKLOAD_TLS_SAME_NODE);
  EXPECT_EQ(dial_from(client, server.at(speech(), 8080)).error, 0);
  const base::Fd straight = accept_at(client, outbound());
  ASSERT_TRUE(straight);
  EXPECT_EQ(name_of(straight.get()), server.at(speech(), 8080));
  weft_backend asks = server_at(8080);
  asks.flags |= WEFT_WORKLOAD_TLS_SAME_NODE;
  world.put_service(vip(), IPPROTO_TCP, 0, {asks});
  EXPECT_EQ(dial_from(client, vip()).error, 0);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), vip());
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_same_node), 2U);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 8080, 31);
  show_server_policy(WEFT_WORKLOAD_TLS_SAME_NODE | WEFT_WORKLOAD_HAS_POLICY);
  EXPECT_EQ(dial_from(client, server.at(speech(), 8080)).error, EPERM) << "what policy refuses is said at once";
  EXPECT_EQ(dial_from(client, vip()).error, 0) << "the proxy may know another backend";
}

TEST_P(Connect, AnUnknownDestinationIsLeftAlone) {
  const base::Fd app = app_at(stranger, 8080);
  EXPECT_EQ(dial_from(client, stranger.at(speech(), 8080)).error, 0);
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(peer_of(accepted.get()).address, client.address(speech()));
  EXPECT_EQ(count(WEFT_COUNTER_connect_unknown), 1U);
  EXPECT_EQ(dial_from(client, stranger.at(speech(), 8081)).error, ECONNREFUSED);
}

TEST_P(Connect, ACallerThatIsNotEnrolledIsLeftAlone) {
  world.put_service(server.at(speech(), 8080), IPPROTO_TCP, 0, {});
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_EQ(count(WEFT_COUNTER_connect_not_enrolled), 1U);
}

TEST_P(Connect, APodThatIsNotArmedYetIsLeftAlone) {
  world.put_service(server.at(speech(), 8080), IPPROTO_TCP, 0, {});
  world.set_flags(client, 0);
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(client, server.at(speech(), 8080)).error, 0);
  EXPECT_EQ(count(WEFT_COUNTER_connect_not_armed), 1U);
}

TEST_P(Connect, WeftsOwnProcessesAreLeftAloneAndStillAttestAsThePod) {
  world.put_service(server.at(speech(), 8080), IPPROTO_TCP, WEFT_SERVICE_L7, {});
  const base::Fd app = app_at(server, 8080);
  const Place proxy{.netns = &client.netns(), .cgroup = &world.agent_cgroup};
  const Dialled call = dial(proxy, speech(), server.at(speech(), 8080));
  EXPECT_EQ(call.error, 0);
  EXPECT_EQ(count(WEFT_COUNTER_connect_exempt), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_attested), 1U);
  const auto record = world.hooks.get<weft_attested>("attested", world.tuple_of(call.socket.get()));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->identity, client.entry.identity);
}

TEST_P(Connect, AServiceWithoutEndpointsRefusesAtOnce) {
  world.put_service(vip(), IPPROTO_TCP, 0, {});
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, ECONNREFUSED);
  EXPECT_EQ(count(WEFT_COUNTER_connect_refused_no_backend), 1U);
}

TEST_P(Connect, AHoleInTheTableRefuses) {
  const uint32_t id = world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  world.hooks.erase("backends", weft_backend_key{id, 1, 0});
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, ECONNREFUSED);
  EXPECT_EQ(count(WEFT_COUNTER_connect_refused_backend_missing), 1U);
}

TEST_P(Connect, ABackendOfTheOtherFamilyRefuses) {
  const Speech other = speech() == Speech::kV6 ? Speech::kV4 : Speech::kV6;
  world.put_service(vip(), IPPROTO_TCP, 0, {backend(server.at(other, 8080))});
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, ECONNREFUSED);
  EXPECT_EQ(count(WEFT_COUNTER_connect_refused_backend_family), 1U);
}

TEST_P(Connect, ADeadPortBehindAServiceSaysSo) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  EXPECT_EQ(dial_from(client, vip()).error, ECONNREFUSED);
}

TEST_P(Connect, APolicyOfTheDestinationIsFeltAtConnect) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  show_server_policy(WEFT_WORKLOAD_HAS_POLICY);
  add_server_flags(WEFT_POD_HAS_POLICY);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_IDENTITY, 8080, 77, client.entry.identity);
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, EPERM);
  EXPECT_EQ(dial_from(client, server.at(speech(), 8080), kNoAnswer).error, EPERM);
  EXPECT_EQ(count(WEFT_COUNTER_connect_denied_by_policy), 2U);
  const std::vector<weft_event> events = world.hooks.events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].rule_id, 77U);
  EXPECT_EQ(events[0].counter, WEFT_COUNTER_connect_denied_by_policy);
  EXPECT_EQ(events[0].source_identity, client.entry.identity);
  EXPECT_EQ(events[0].source_namespace_id, client.entry.namespace_id);
  EXPECT_EQ(events[0].pod_id, server.entry.pod_id);
  EXPECT_EQ(from_abi(events[0].source), client.address(speech()));
  EXPECT_EQ(from_abi(events[0].destination), server.address(speech()));
  EXPECT_EQ(events[0].destination_port, 8080);
  EXPECT_FALSE(accept_from(app.get(), std::chrono::milliseconds(20)));
}

TEST_P(Connect, LoopbackAndTheOwnAddressNeverLeaveThePod) {
  make_stranger_remote();
  const base::SocketAddress loopback{address_of(speech() == Speech::kV6 ? "::1" : "127.0.0.1"), 8080};
  for (const base::SocketAddress& self : {loopback, client.at(speech(), 8080)}) {
    world.put_service(self, IPPROTO_TCP, WEFT_SERVICE_L7, {});
    const base::Fd app = listen_at(client.place(), self);
    const Dialled call = dial_from(client, self);
    EXPECT_EQ(call.error, 0) << self.to_string();
    const base::Fd accepted = accept_from(app.get());
    ASSERT_TRUE(accepted) << self.to_string();
    EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  }
  EXPECT_EQ(count(WEFT_COUNTER_connect_loopback), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_connect_own_address), 1U);
}

TEST_P(Connect, WithoutAListenerAClosedPodIsDeniedAndAnOpenOneGoesWithout) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  make_stranger_remote();
  const base::Fd app = app_at(server, 8080), far = app_at(stranger, 8080);
  world.close_listener(client, outbound());
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, EPERM);
  EXPECT_EQ(dial_from(client, stranger.at(speech(), 8080), kNoAnswer).error, EPERM);
  EXPECT_EQ(count(WEFT_COUNTER_connect_fail_closed), 2U);

  add_client_flags(WEFT_POD_FAIL_OPEN);
  const Dialled call = dial_from(client, vip());
  EXPECT_EQ(call.error, 0);
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(dial_from(client, stranger.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(far.get()));
  EXPECT_EQ(count(WEFT_COUNTER_connect_fail_open), 2U);

  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {});
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, ECONNREFUSED);
}

TEST_P(Connect, MarkingSwitchedOffCountsAsNoListener) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  const base::Fd app = app_at(server, 8080);
  world.set_flags(client, WEFT_POD_ENROLLED);
  EXPECT_EQ(dial_from(client, vip(), kNoAnswer).error, EPERM);
  world.set_flags(client, WEFT_POD_ENROLLED | WEFT_POD_FAIL_OPEN);
  EXPECT_EQ(dial_from(client, vip()).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
}

TEST_P(Connect, ASocketUsedAgainLosesTheMarkAndTheFormerName) {
  world.put_service(vip(80), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  world.put_service(vip(81), IPPROTO_TCP, 0, {server_at(8080)});
  const base::Fd app = app_at(server, 8080), far = app_at(stranger, 8080);
  const auto own_mark = [](int socket) {
    const uint32_t mark = 0x5;
    ::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
  };
  const Dialled call = dial_from(client, vip(80), std::chrono::seconds(3), own_mark);
  ASSERT_EQ(call.error, 0);
  EXPECT_EQ(mark_of(call.socket.get()), world.mark | 0x5) << "the application's own bits stay";
  const auto disconnect = [&] {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    ASSERT_EQ(::connect(call.socket.get(), &nobody, sizeof nobody), 0);
  };
  disconnect();
  ASSERT_EQ(connect_again(call.socket.get(), speech(), vip(81)), 0);
  EXPECT_EQ(mark_of(call.socket.get()), 0x5U);
  EXPECT_EQ(peer_of(call.socket.get()), vip(81));
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_connect_mark_cleared), 1U);
  disconnect();
  ASSERT_EQ(connect_again(call.socket.get(), speech(), stranger.at(speech(), 8080)), 0);
  EXPECT_EQ(peer_of(call.socket.get()), stranger.at(speech(), 8080));
  EXPECT_TRUE(accept_from(far.get()));
}

TEST_P(Connect, AChangeOfEndpointsIsFeltByTheNextConnect) {
  world.put_service(vip(), IPPROTO_TCP, 0, {stranger_at(8080)});
  const base::Fd app = app_at(server, 8080), far = app_at(stranger, 8080);
  const Dialled before = dial_from(client, vip());
  const base::Fd kept = accept_from(far.get());
  ASSERT_TRUE(kept);
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  EXPECT_EQ(dial_from(client, vip()).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(exchange(before.socket.get(), kept.get()), "") << "what stood before goes on";
}

}  // namespace
}  // namespace weft::test
