// Clients that speak MPTCP: their hook runs for the subflow, whose mark and address are what counts.
// Topology: world.h.
#include <netinet/in.h>

#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Mptcp : public PodsTest {
 protected:
  [[nodiscard]] Dialled dial_mptcp(const base::SocketAddress& to) const {
    Dialled out;
    inside(client.place(), [&] {
      out.socket = base::Fd(::socket(speech() == Speech::kV4 ? AF_INET : AF_INET6,
                                     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_MPTCP));
      ASSERT_TRUE(out.socket) << "the kernel has no MPTCP: " << std::strerror(errno);
      out.error = connect_again(out.socket.get(), speech(), to, std::chrono::seconds(2));
    });
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Mptcp, kEverySpeech, name_of_case);

// The note is on the subflow, and getpeername asks the MPTCP socket: a limit that bpf/README.md names.
TEST_P(Mptcp, ADirectServiceIsReachedThoughItsPeerIsNamedByTheBackend) {
  world.put_service(vip(), IPPROTO_TCP, 0, {server_at(8080)});
  const base::Fd app = app_at(server, 8080);
  const Dialled call = dial_mptcp(vip());
  EXPECT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_from(app.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
  EXPECT_EQ(count(WEFT_COUNTER_lookup_to_app_attested), 1U);
  EXPECT_EQ(peer_of(call.socket.get()), server.at(speech(), 8080));
}

TEST_P(Mptcp, TheProxyIsReached) {
  world.put_service(vip(), IPPROTO_TCP, WEFT_SERVICE_L7, {server_at(8080)});
  const Dialled call = dial_mptcp(vip());
  EXPECT_EQ(call.error, 0) << std::strerror(call.error);
  const base::Fd accepted = accept_at(client, outbound());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(name_of(accepted.get()), vip());
  EXPECT_EQ(exchange(call.socket.get(), accepted.get()), "");
}

}  // namespace
}  // namespace weft::test
