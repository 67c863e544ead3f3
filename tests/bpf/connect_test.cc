// What the connect hooks do with the sockets of an enrolled pod, in every address family. Topology: world.h.
#include <sys/socket.h>

#include <cstring>

#include "tests/bpf/world.h"

namespace weft::test {
namespace {

std::string name_of_speech(const testing::TestParamInfo<Speech>& info) {
  return info.param == Speech::kV4 ? "V4" : info.param == Speech::kV6 ? "V6" : "V4Mapped";
}

class Connect : public testing::TestWithParam<Speech> {
 protected:
  void SetUp() override {
    world.arm(world.client);
    world.arm(world.server);
  }
  [[nodiscard]] base::SocketAddress vip(int number = 1, uint16_t port = 80) const {
    const std::string last = std::to_string(number);
    return {address_of((GetParam() == Speech::kV6 ? "fd96::" : "10.96.0.") + last), port};
  }
  [[nodiscard]] Dialled dial_from(const TestPod& pod, const base::SocketAddress& to,
                                  std::chrono::milliseconds limit = std::chrono::seconds(3)) const {
    return dial(pod.place(), GetParam(), to, limit);
  }
  [[nodiscard]] int outbound(const TestPod& pod) const {
    return pod.listeners[GetParam() == Speech::kV6 ? WEFT_LISTENER_OUTBOUND6 : WEFT_LISTENER_OUTBOUND4].get();
  }
  [[nodiscard]] weft_backend server_backend(uint16_t port) const {
    return backend(world.server.at(GetParam(), port), WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL, 2);
  }

  World world;
};
INSTANTIATE_TEST_SUITE_P(Families, Connect, testing::Values(Speech::kV4, Speech::kV6, Speech::kV4Mapped),
                         name_of_speech);

TEST_P(Connect, AServiceIsRewrittenToItsBackendAndLooksLikeTheService) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_backend(8080)});
  const base::Fd app = listen_at(world.server.place(), world.server.at(GetParam(), 8080));
  Dialled call = dial_from(world.client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_EQ(name_of(call.socket.get()).address, world.client.address(GetParam()));
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(name_of(accepted.get()), world.server.at(GetParam(), 8080));
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(world.hooks.count(WEFT_COUNTER_connect_direct_service), 1U);
  EXPECT_EQ(world.hooks.count(WEFT_COUNTER_lookup_to_app_attested), 1U);
  EXPECT_EQ(world.hooks.count(WEFT_COUNTER_getpeername_restored), 1U);
}

TEST_P(Connect, AServiceThatNeedsHttpGoesToTheProxyWithAllAddressesTrue) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_backend(8080)});
  Dialled call = dial_from(world.client, vip());
  ASSERT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_from(outbound(world.client));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), vip());
  EXPECT_EQ(peer_of(accepted.get()), name_of(call.socket.get()));
  EXPECT_EQ(peer_of(call.socket.get()), vip());
  EXPECT_EQ(name_of(call.socket.get()).address, world.client.address(GetParam()));
  EXPECT_EQ(mark_of(call.socket.get()), world.mark);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(world.hooks.count(WEFT_COUNTER_connect_proxy_layer7), 1U);
  EXPECT_EQ(world.hooks.count(WEFT_COUNTER_lookup_outbound), 1U);
}

}  // namespace
}  // namespace weft::test
