// What the sk_lookup instance of a pod does with what looks for a listener there. Topology: world.h.
#include <netinet/in.h>

#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Arrival : public PodsTest {
 protected:
  // The client calls the server's address, and its own connect hook sees no policy there.
  [[nodiscard]] Dialled call_server(uint16_t port, std::chrono::milliseconds limit = kNoAnswer) const {
    return dial_from(client, server.at(speech(), port), limit);
  }
  // Whether the server's refusing listener got the call: the application then feels a reset.
  [[nodiscard]] bool refused(uint16_t port) const {
    const Dialled call = call_server(port);
    base::Fd connection = accept_at(server, refusing());
    if (call.error != 0 || !connection) return false;
    reset_connection(std::move(connection));
    char byte = 0;
    return ::recv(call.socket.get(), &byte, 1, 0) < 0 && errno == ECONNRESET;
  }
  [[nodiscard]] bool admitted(uint16_t port) const {
    const base::Fd app = app_at(server, port);
    const Dialled call = call_server(port);
    return call.error == 0 && accept_from(app.get()).valid();
  }
  [[nodiscard]] uint32_t socket_mark() const { return world.mark; }
};
INSTANTIATE_TEST_SUITE_P(Each, Arrival, kEveryCase, name_of_case);

TEST_P(Arrival, ARecordIsThereBeforeTheSynAndGoneWithTheConnection) {
  const base::Fd app = app_at(server, 8080);
  Dialled call = call_server(8080);
  ASSERT_EQ(call.error, 0);
  const weft_tuple tuple = world.tuple_of(call.socket.get());
  const auto record = world.hooks.get<weft_attested>("attested", tuple);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->netns_cookie, client.netns().cookie());
  EXPECT_EQ(record->identity, client.entry.identity);
  EXPECT_EQ(record->namespace_id, client.entry.namespace_id);
  EXPECT_EQ(record->pod_id, client.entry.pod_id);
  EXPECT_EQ(record->generation, client.entry.generation);
  EXPECT_EQ(record->flags, 0U);
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_attested), 1U);
  {
    base::Fd accepted = accept_from(app.get());
  }
  reset_connection(std::move(call.socket));
  EXPECT_FALSE(world.hooks.get<weft_attested>("attested", tuple));
  EXPECT_EQ(count(WEFT_COUNTER_attested_deleted), count(WEFT_COUNTER_attested_recorded));
}

TEST_P(Arrival, ARecordGoesWhenNobodyAnswered) {
  ASSERT_EQ(call_server(8080).error, ECONNREFUSED);
  EXPECT_EQ(count(WEFT_COUNTER_attested_recorded), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_attested_deleted), 1U);
}

TEST_P(Arrival, ALoopedConnectionsRecordSaysSo) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {});
  const Dialled call = dial_from(client, vip());
  ASSERT_EQ(call.error, 0);
  const auto record = world.hooks.get<weft_attested>("attested", world.tuple_of(call.socket.get()));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->flags, static_cast<uint32_t>(WEFT_ATTESTED_LOOPED));
}

TEST_P(Arrival, AnUnprovenPeerIsAnonymousAndAStrictPodRefusesIt) {
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_anonymous), 1U);

  add_server_flags(WEFT_POD_STRICT);
  const Dialled call = dial_from(stranger, server.at(speech(), 8080));
  EXPECT_EQ(call.error, 0);
  EXPECT_TRUE(accept_at(server, refusing())) << "to be reset at once";
  EXPECT_EQ(count(WEFT_COUNTER_lookup_refused_anonymous), 1U);
  const std::vector<weft_event> events = world.hooks.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].counter, WEFT_COUNTER_lookup_refused_anonymous);
  EXPECT_EQ(events[0].source_identity, 0U);
  EXPECT_EQ(from_abi(events[0].source), stranger.address(speech()));
  EXPECT_EQ(events[0].source_port, name_of(call.socket.get()).port);
  EXPECT_EQ(admitted(8081), true) << "the proven client comes in";

  world.close_listener(server, refusing());
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080), kNoAnswer).error, ECONNREFUSED);
  EXPECT_GE(count(WEFT_COUNTER_lookup_refuse_dropped), 1U);
  EXPECT_FALSE(accept_from(app.get(), std::chrono::milliseconds(20)));
}

TEST_P(Arrival, ARecordOfAFormerPodIsNotBelieved) {
  add_server_flags(WEFT_POD_STRICT);
  EXPECT_TRUE(admitted(8080));
  // The record is written under the generation of the entry; then the pod id is used again.
  const base::Fd app = app_at(server, 8081);
  weft_attested old{client.netns().cookie(),
                    client.entry.identity,
                    client.entry.namespace_id,
                    client.entry.pod_id,
                    client.entry.generation,
                    0,
                    0};
  weft_tuple tuple{};
  tuple.source = to_abi(stranger.address(speech()));
  tuple.destination = to_abi(server.address(speech()));
  tuple.source_port = 5555;
  tuple.destination_port = 8081;
  const auto from_5555 = [&](int socket) {
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), stranger.at(speech(), 5555), &storage);
    const int one = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&storage), length), 0);
  };
  world.hooks.put("attested", tuple, old);
  Dialled call = dial_from(stranger, server.at(speech(), 8081), kNoAnswer, from_5555);
  EXPECT_TRUE(accept_from(app.get())) << "believed while the pod is the same";
  reset_connection(std::move(call.socket));
  client.entry.generation = 2;
  world.write(client);
  world.hooks.put("attested", tuple, old);
  call = dial_from(stranger, server.at(speech(), 8081), kNoAnswer, from_5555);
  EXPECT_TRUE(accept_at(server, refusing()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_record_stale), 1U);
}

TEST_P(Arrival, ASourceAddressThatIsNotThePodsProvesNothing) {
  add_server_flags(WEFT_POD_STRICT);
  client.netns().ip("addr add 10.77.0.77/24 dev eth0");
  client.netns().ip("addr add fd77::77/64 dev eth0 nodad");
  const base::SocketAddress borrowed{address_of(speech() == Speech::kV6 ? "fd77::77" : "10.77.0.77"), 0};
  const Dialled call = dial_from(client, server.at(speech(), 8080), kNoAnswer, [&](int socket) {
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), borrowed, &storage);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&storage), length), 0);
  });
  EXPECT_EQ(name_of(call.socket.get()).address, borrowed.address);
  EXPECT_TRUE(accept_at(server, refusing()));
  EXPECT_EQ(count(WEFT_COUNTER_attested_recorded), 0U);
  EXPECT_EQ(count(WEFT_COUNTER_attested_foreign_source), 1U);
}

TEST_P(Arrival, RulesDecideByIdentityNamespacePortAndAddress) {
  add_server_flags(WEFT_POD_HAS_POLICY);
  EXPECT_TRUE(admitted(8080)) << "no rule at all";
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_IDENTITY, 8080, 1, client.entry.identity);
  EXPECT_TRUE(refused(8080));
  EXPECT_TRUE(admitted(8081)) << "another port";
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_NAMESPACE, 0, 2, 999);
  EXPECT_TRUE(admitted(8081)) << "another namespace";
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_NAMESPACE, 0, 3, client.entry.namespace_id);
  EXPECT_TRUE(refused(8081)) << "any port";
  EXPECT_EQ(world.hooks.events().back().rule_id, 3U);
  EXPECT_EQ(count(WEFT_COUNTER_lookup_refused_by_policy), 2U);
}

TEST_P(Arrival, ACidrDeniesWhoeverComesFromIt) {
  add_server_flags(WEFT_POD_HAS_POLICY);
  put_cidr_rule(WEFT_ACTION_DENY,
                base::Cidr::parse(speech() == Speech::kV6 ? "fd88::/16" : "10.88.0.0/16").value(), 0, 4);
  EXPECT_TRUE(admitted(8080));
  put_cidr_rule(WEFT_ACTION_DENY,
                base::Cidr::parse(speech() == Speech::kV6 ? "fd77::/16" : "10.77.0.0/16").value(), 0, 5);
  EXPECT_TRUE(refused(8080));
  EXPECT_EQ(world.hooks.events().back().rule_id, 5U);
}

TEST_P(Arrival, WithAnAllowRuleWhatNoneMatchesIsRefused) {
  add_server_flags(WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW);
  EXPECT_TRUE(refused(8080)) << "none matches";
  EXPECT_EQ(world.hooks.events().back().rule_id, 0U);
  put_rule(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, 8080, 6, client.entry.identity);
  EXPECT_TRUE(admitted(8080));
  EXPECT_TRUE(refused(8081));
  put_rule(WEFT_ACTION_ALLOW, WEFT_SUBJECT_ANYONE, 8081, 7);
  EXPECT_TRUE(admitted(8081));
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_ANYONE, 0, 8);
  EXPECT_TRUE(refused(8080)) << "DENY goes first";
}

TEST_P(Arrival, AnAnonymousPeerMatchesOnlyRulesOnAnyoneAndAddresses) {
  add_server_flags(WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW);
  put_rule(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, 0, 9, 0);
  put_rule(WEFT_ACTION_ALLOW, WEFT_SUBJECT_NAMESPACE, 0, 10, 0);
  const base::Fd app = app_at(server, 8080);
  (void)dial_from(stranger, server.at(speech(), 8080), kNoAnswer);
  EXPECT_TRUE(accept_at(server, refusing())) << "nobody is not an identity";
  put_cidr_rule(WEFT_ACTION_ALLOW, {stranger.address(speech()), 128}, 8080, 11);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
}

TEST_P(Arrival, SteeredToTheProxyBothAddressesAreTrueAndTheListenerSaysWhoVouches) {
  add_server_flags(WEFT_POD_INBOUND_PROXY);
  const base::Fd app = app_at(server, 8080);
  const Dialled call = call_server(8080);
  ASSERT_EQ(call.error, 0);
  const base::Fd accepted = accept_at(server, attested());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), server.at(speech(), 8080));
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_proxy_attested), 1U);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_at(server, inbound())) << "nobody vouches for the stranger";
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_proxy), 1U);

  world.close_listener(server, attested());
  EXPECT_EQ(call_server(8080).error, ECONNREFUSED) << "it does not go where it would be anonymous";
  EXPECT_GE(count(WEFT_COUNTER_lookup_fail_closed), 1U);
  EXPECT_FALSE(accept_from(app.get(), std::chrono::milliseconds(20)));
  add_server_flags(WEFT_POD_FAIL_OPEN);
  EXPECT_EQ(call_server(8080).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_fail_open), 1U);
}

TEST_P(Arrival, APortMayBeStricterOrMilderThanItsPod) {
  const auto set_mode = [&](uint16_t port, uint32_t mode) {
    world.hooks.put("port_modes", weft_port_key{server.entry.pod_id, port, 0}, weft_port_mode{mode});
  };
  const auto stranger_comes_in = [&](uint16_t port) {
    const base::Fd app = app_at(server, port);
    const Dialled call = dial_from(stranger, server.at(speech(), port));
    const bool in = accept_from(app.get(), std::chrono::milliseconds(100)).valid();
    EXPECT_NE(in, accept_at(server, refusing(), std::chrono::milliseconds(100)).valid()) << port;
    return in;
  };
  set_mode(8080, WEFT_PEERS_STRICT);
  set_mode(8081, WEFT_PEERS_PERMISSIVE);
  EXPECT_TRUE(stranger_comes_in(8080)) << "the pod's flag says whether modes are asked";
  add_server_flags(WEFT_POD_HAS_PORT_MODES);
  EXPECT_FALSE(stranger_comes_in(8080));
  EXPECT_TRUE(stranger_comes_in(8081));
  EXPECT_TRUE(stranger_comes_in(8082));
  add_server_flags(WEFT_POD_STRICT);
  EXPECT_TRUE(stranger_comes_in(8081));
  EXPECT_FALSE(stranger_comes_in(8082));
  EXPECT_TRUE(admitted(8080)) << "the proven client comes in everywhere";
}

TEST_P(Arrival, RulesMaySpeakOfWhoeverIsProvenAndOfWhoeverIsNot) {
  add_server_flags(WEFT_POD_HAS_POLICY);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_PROVEN, 8080, 21);
  put_rule(WEFT_ACTION_DENY, WEFT_SUBJECT_ANONYMOUS, 8081, 22);
  EXPECT_TRUE(refused(8080));
  EXPECT_EQ(world.hooks.events().back().rule_id, 21U);
  EXPECT_TRUE(admitted(8081));
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8081)).error, 0);
  EXPECT_TRUE(accept_at(server, refusing()));
  EXPECT_EQ(world.hooks.events().back().rule_id, 22U);
}

TEST_P(Arrival, APodThatAsksForTlsRefusesAPlainCallEvenFromItsOwnNode) {
  add_server_flags(WEFT_POD_TLS_SAME_NODE);
  EXPECT_TRUE(refused(8080));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_refused_same_node), 1U);
  EXPECT_EQ(world.hooks.events().back().counter, WEFT_COUNTER_lookup_refused_same_node);
  EXPECT_EQ(call_server(WEFT_HBONE_PORT).error, 0);
  EXPECT_TRUE(accept_at(server, inbound())) << "mTLS is what it asks for";
  const base::Fd app = app_at(server, 8081);
  EXPECT_EQ(dial_from(server, server.at(speech(), 8081)).error, 0);
  EXPECT_TRUE(accept_from(app.get())) << "a pod calls itself as before";
}

TEST_P(Arrival, TheKubeletsProbeReachesAStrictPodThatDeniesEverybodyAndNobodyElseDoes) {
  const Cgroup kubelet("kubelet");
  world.hooks.attach_probe(kubelet, world.node.netns());
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW | WEFT_POD_INBOUND_PROXY);
  const base::Fd app = app_at(server, 8080);
  const Place probe{.netns = &world.node.netns(), .cgroup = &kubelet};
  Dialled call = dial(probe, speech(), server.at(speech(), 8080));
  ASSERT_EQ(call.error, 0);
  base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_attested_probe), 1U);
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_probe), 1U);
  const weft_tuple tuple = world.tuple_of(call.socket.get());
  ASSERT_TRUE(world.hooks.get<weft_attested>("attested", tuple));
  accepted.reset();
  reset_connection(std::move(call.socket));
  EXPECT_FALSE(world.hooks.get<weft_attested>("attested", tuple)) << "the record goes with its connection";

  const Place others[] = {{.netns = &world.node.netns()},                       // another program of the node
                          {.netns = &stranger.netns(), .cgroup = &kubelet},     // the cgroup without the netns
                          {.netns = &stranger.netns(), .cgroup = &world.pods_cgroup}};
  for (const Place& other : others) {
    (void)dial(other, speech(), server.at(speech(), 8080), kNoAnswer);
    EXPECT_TRUE(accept_at(server, refusing()));
  }
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_probe), 1U);
}

TEST_P(Arrival, MtlsGoesToTheProxyEvenFromAnAnonymousPeerOfAStrictPod) {
  add_server_flags(WEFT_POD_STRICT);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), WEFT_HBONE_PORT)).error, 0);
  EXPECT_TRUE(accept_at(server, inbound()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_hbone), 1U);
}

// Marked by its program and made outside the pods' cgroup, as no hook of ours would let it be. (What is
// dropped gets a reset from the stack, which finds its way back only in IPv6.)
TEST_P(Arrival, ALoopedSynWithoutListenerNeverReachesTheApplication) {
  const base::Fd trap =
      listen_at(client.place(), {address_of(speech() == Speech::kV6 ? "::" : "0.0.0.0"), 8080});
  world.close_listener(client, outbound());
  const Place outside{.netns = &client.netns()};
  const auto marked = [this](int socket) {
    const uint32_t mark = socket_mark();
    ASSERT_EQ(::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
  };
  EXPECT_NE(dial(outside, speech(), vip(8080), kNoAnswer, marked).error, 0);
  EXPECT_FALSE(accept_from(trap.get(), std::chrono::milliseconds(20)));
  EXPECT_GE(count(WEFT_COUNTER_lookup_outbound_dropped), 1U);

  world.hooks.erase("pods", weft_pod_key{client.netns().cookie()});
  EXPECT_NE(dial(outside, speech(), vip(8080), kNoAnswer, marked).error, 0);
  EXPECT_FALSE(accept_from(trap.get(), std::chrono::milliseconds(20)))
      << "nor when the pod's entry is missing";
  EXPECT_GE(count(WEFT_COUNTER_lookup_no_pod), 1U);
}

TEST_P(Arrival, ThePodMayCallItselfThoughItIsStrictAndDeniesEverybody) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_HAS_POLICY | WEFT_POD_HAS_ALLOW | WEFT_POD_INBOUND_PROXY);
  show_server_policy(WEFT_WORKLOAD_HAS_POLICY | WEFT_WORKLOAD_HAS_ALLOW);
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  const base::Fd app = app_at(server, 8080);
  const Dialled straight = dial_from(server, server.at(speech(), 8080));
  EXPECT_EQ(straight.error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_from_self), 1U);
  const Dialled hairpin = dial_from(server, vip());
  EXPECT_EQ(hairpin.error, 0);
  EXPECT_EQ(peer_of(hairpin.socket.get()), vip());
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_from_self), 2U);
}

TEST_P(Arrival, AFurtherAddressOfThePodIsItsOwnFromInside) {
  server.netns().ip("addr add 10.77.0.88/24 dev eth0");
  server.netns().ip("addr add fd77::88/64 dev eth0 nodad");
  const base::SocketAddress further{address_of(speech() == Speech::kV6 ? "fd77::88" : "10.77.0.88"), 8080};
  const base::Fd app = listen_at(server.place(), further);
  // From the address itself, and from the pod's own one.
  EXPECT_EQ(dial_from(server, further, kNoAnswer).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  const Dialled own = dial_from(server, further, kNoAnswer, [&](int socket) {
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), server.at(speech(), 0), &storage);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&storage), length), 0);
  });
  EXPECT_EQ(own.error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  // From outside it is judged like the pod's own, where the interface can be seen; else it stays shut.
  add_server_flags(WEFT_POD_STRICT);
  const Dialled outside = dial_from(stranger, further, kNoAnswer);
  EXPECT_EQ(accept_at(server, refusing(), kNoAnswer).valid(), GetParam().has_ifindex);
  EXPECT_EQ(outside.error, GetParam().has_ifindex ? 0 : ECONNREFUSED);
}

TEST_P(Arrival, APodThatIsBeingArmedReceivesAsBefore) {
  world.set_flags(server, WEFT_POD_STRICT);
  const base::Fd app = app_at(server, 8080);
  EXPECT_EQ(dial_from(stranger, server.at(speech(), 8080)).error, 0);
  EXPECT_TRUE(accept_from(app.get()));
  EXPECT_EQ(count(WEFT_COUNTER_lookup_not_armed), 1U);
}

// The proxy delivers in the client's name: foreign source address, mark, over lo; the answers follow the
// mark.
TEST_P(Arrival, TheProxyDeliversInTheClientsName) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_INBOUND_PROXY);
  const base::Fd app = app_at(server, 8080);
  const Place proxy{.netns = &server.netns(), .cgroup = &world.agent_cgroup};
  const base::SocketAddress far{address_of(speech() == Speech::kV6 ? "2001:db8::77" : "198.51.100.77"), 0};
  const Dialled call = dial(proxy, speech(), server.at(speech(), 8080), kNoAnswer, [&](int socket) {
    const int one = 1;
    const uint32_t mark = socket_mark();
    ASSERT_EQ(::setsockopt(socket, SOL_IP, IP_TRANSPARENT, &one, sizeof one), 0);
    if (speech() != Speech::kV4) {
      ASSERT_EQ(::setsockopt(socket, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one), 0);
    }
    ASSERT_EQ(::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), far, &storage);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&storage), length), 0) << std::strerror(errno);
  });
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(peer_of(accepted.get()).address, far.address);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_lookup_from_self), 1U);
}

// The client's own connection to the proxy may have the very 4-tuple under which the proxy then delivers it.
TEST_P(Arrival, ADeliveryUnderTheTupleOfALoopedConnectionIsStillADelivery) {
  add_server_flags(WEFT_POD_STRICT | WEFT_POD_TLS_SAME_NODE);
  add_client_flags(WEFT_POD_TLS_SAME_NODE);
  const Dialled looped = call_server(8080);
  ASSERT_EQ(looped.error, 0);
  ASSERT_TRUE(accept_at(client, outbound()));
  EXPECT_EQ(count(WEFT_COUNTER_connect_proxy_same_node), 1U);
  const base::Fd app = app_at(server, 8080);
  const Place proxy{.netns = &server.netns(), .cgroup = &world.agent_cgroup};
  const Dialled call = dial(proxy, speech(), server.at(speech(), 8080), kNoAnswer, [&](int socket) {
    const int one = 1;
    const uint32_t mark = socket_mark();
    ASSERT_EQ(::setsockopt(socket, SOL_IP, IP_TRANSPARENT, &one, sizeof one), 0);
    if (speech() != Speech::kV4) {
      ASSERT_EQ(::setsockopt(socket, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one), 0);
    }
    ASSERT_EQ(::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(speech(), name_of(looped.socket.get()), &storage);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&storage), length), 0) << std::strerror(errno);
  });
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  EXPECT_TRUE(accept_from(app.get()));
}

}  // namespace
}  // namespace weft::test
