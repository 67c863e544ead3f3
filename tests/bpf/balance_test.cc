// Shares and affinity, read from what connect() noted on UDP sockets: no packet has to travel. Topology:
// world.h.
#include <netinet/in.h>
#include <unistd.h>

#include "tests/bpf/pods_test.h"

namespace weft::test {
namespace {

class Balance : public PodsTest {
 protected:
  // The port of the backend that a fresh socket of `pod` got, 0 if connect() failed.
  [[nodiscard]] std::vector<int> draw(const TestPod& pod, int times) const {
    std::vector<int> ports;
    inside(pod.place(), [&] {
      for (int i = 0; i < times; ++i) {
        const base::Fd socket(
            ::socket(speech() == Speech::kV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        weft_socket noted{};
        const int fd = socket.get();
        const int failed = connect_again(fd, speech(), vip(53));
        ports.push_back(failed == 0 && bpf_map_lookup_elem(world.hooks.map("sockets"), &fd, &noted) == 0
                            ? noted.backend_port
                            : 0);
      }
    });
    return ports;
  }
  [[nodiscard]] int draw_one(const TestPod& pod) const { return draw(pod, 1).front(); }
};
INSTANTIATE_TEST_SUITE_P(Each, Balance, testing::Values(Case{Speech::kV4, true}, Case{Speech::kV6, true}),
                         name_of_case);

TEST_P(Balance, SharesFollowTheWeights) {
  // 10 %, 30 %, 60 % by the alias method: slot 0 keeps 30 %, slot 1 keeps 90 %, both lend the rest to slot 2.
  std::vector<weft_backend> table{server_at(1001), server_at(1002), server_at(1003)};
  table[0].keep_threshold = static_cast<uint32_t>(0.3 * UINT32_MAX);
  table[1].keep_threshold = static_cast<uint32_t>(0.9 * UINT32_MAX);
  table[0].alias = table[1].alias = 2;
  world.put_service(vip(53), IPPROTO_UDP, 0, table);
  std::map<int, int> shares;
  for (int port : draw(client, 4000)) ++shares[port];
  // Five standard deviations of each.
  EXPECT_NEAR(shares[1001], 400, 95);
  EXPECT_NEAR(shares[1002], 1200, 145);
  EXPECT_NEAR(shares[1003], 2400, 155);
  EXPECT_EQ(shares[1001] + shares[1002] + shares[1003], 4000);
}

TEST_P(Balance, WithoutAffinityEveryBackendIsDrawn) {
  world.put_service(vip(53), IPPROTO_UDP, 0, {server_at(1001), server_at(1002)});
  std::map<int, int> shares;
  for (int port : draw(client, 100)) ++shares[port];
  EXPECT_GT(shares[1001], 20);
  EXPECT_GT(shares[1002], 20);
}

TEST_P(Balance, AffinityKeepsThePodWithItsBackendThroughAChangeOfTheTable) {
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY,
                    {server_at(1001), server_at(1002), server_at(1003)}, 10800);
  const int first = draw_one(client);
  ASSERT_NE(first, 0);
  for (int port : draw(client, 50)) EXPECT_EQ(port, first);
  EXPECT_EQ(count(WEFT_COUNTER_affinity_kept), 50U);
  // Another generation, other slots, the same backend among them.
  std::vector<weft_backend> table;
  for (uint16_t port = 1010; port < 1030; ++port) table.push_back(server_at(port));
  table.push_back(server_at(static_cast<uint16_t>(first)));
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY, table, 10800);
  for (int port : draw(client, 50)) EXPECT_EQ(port, first);
  EXPECT_EQ(count(WEFT_COUNTER_affinity_kept), 100U);
  EXPECT_EQ(count(WEFT_COUNTER_affinity_backend_gone), 0U);
}

TEST_P(Balance, AffinityEndsWithItsBackend) {
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY, {server_at(1001)}, 10800);
  EXPECT_EQ(draw_one(client), 1001);
  const uint32_t id = world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY,
                                        {server_at(1002), server_at(1003)}, 10800);
  const int next = draw_one(client);
  EXPECT_TRUE(next == 1002 || next == 1003) << next << ": the old index entry has the old generation";
  EXPECT_EQ(count(WEFT_COUNTER_affinity_backend_gone), 1U);
  world.hooks.erase("backend_slots", weft_backend_slot_key{to_abi(server.address(speech())), id, 1001, 0});
  for (int port : draw(client, 20)) EXPECT_EQ(port, next);
}

TEST_P(Balance, AffinityIsForgottenAfterItsTimeCountedFromTheLastUse) {
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY, {server_at(1001), server_at(1002)}, 1);
  const int first = draw_one(client);
  for (int i = 0; i < 3; ++i) {
    ::usleep(500'000);
    EXPECT_EQ(draw_one(client), first) << "used half a second ago";
  }
  EXPECT_EQ(count(WEFT_COUNTER_affinity_expired), 0U);
  ::usleep(1'200'000);
  EXPECT_NE(draw_one(client), 0);
  EXPECT_EQ(count(WEFT_COUNTER_affinity_expired), 1U);
}

TEST_P(Balance, AffinityIsPerPod) {
  std::vector<weft_backend> table;
  for (uint16_t port = 1; port <= 64; ++port) table.push_back(server_at(port));
  world.put_service(vip(53), IPPROTO_UDP, WEFT_SERVICE_AFFINITY, table, 10800);
  const int of_client = draw_one(client), of_server = draw_one(server);
  EXPECT_EQ(draw_one(client), of_client);
  EXPECT_EQ(draw_one(server), of_server);
  EXPECT_EQ(count(WEFT_COUNTER_affinity_kept), 2U);
}

// The staged table is whole before the flip, so at every moment each draw succeeds.
TEST_P(Balance, AChangingTableNeverShowsAHole) {
  std::vector<weft_backend> small{server_at(1001)}, large;
  for (uint16_t port = 2001; port <= 2200; ++port) large.push_back(server_at(port));
  world.put_service(vip(53), IPPROTO_UDP, 0, small);
  Child caller(client.place(), [&] {
    int failed = 0;
    for (int i = 0; i < 3000; ++i) {
      const base::Fd socket(
          ::socket(speech() == Speech::kV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (connect_again(socket.get(), speech(), vip(53)) != 0) ++failed;
    }
    return std::to_string(failed);
  });
  for (int i = 0; i < 100; ++i) world.put_service(vip(53), IPPROTO_UDP, 0, i % 2 == 0 ? large : small);
  EXPECT_EQ(caller.wait(), "0");
  EXPECT_EQ(count(WEFT_COUNTER_connect_refused_backend_missing), 0U);
}

}  // namespace
}  // namespace weft::test
