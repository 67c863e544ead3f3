// Which destinations have to prove who they are, and that connections are not shared between identities.
#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

struct IdentityTest : Rig {
  IdentityTest() {
    snapshot.settings.mutual_tls = true;
    snapshot.workloads[0].enrolled = snapshot.workloads[0].local = true;
    snapshot.workloads[0].service_account = "caller";
    snapshot.workloads.push_back({.name = "v1", .ns = "prod", .service_account = "api", .enrolled = true});
    snapshot.clusters[0].endpoints[0].workload = 1;
  }
  void get(test::PairEnd& client) {
    say(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    if (waiting(1001) > 0) accept(1001);
    say(*accepted.back(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
};

TEST_F(IdentityTest, an_enrolled_endpoint_on_another_node_has_to_prove_itself) {
  get(connect_client());
  EXPECT_EQ(dialer.dialled.at(0).identity, "prod/api");
  const auto line = logged();
  EXPECT_TRUE(has(line, "src.identity=\"spiffe://cluster.local/ns/dev/sa/caller\"")) << line;
  EXPECT_TRUE(has(line, "dst.identity=\"spiffe://cluster.local/ns/prod/sa/api\"")) << line;
}

TEST_F(IdentityTest, an_endpoint_on_the_same_node_or_outside_the_mesh_is_called_in_plain_text) {
  snapshot.workloads[1].local = true;
  get(connect_client());
  snapshot.workloads[1].local = snapshot.workloads[1].enrolled = false;
  get(connect_client());
  for (const auto& asked : dialer.dialled) EXPECT_EQ(asked.identity, "");
  EXPECT_FALSE(has(logged(), "identity="));
}

// What the dialer gives in the moment in which an end leaves the mesh.
TEST_F(IdentityTest, a_connection_that_came_without_its_tunnel_serves_one_request_and_is_recorded_as_plain) {
  const base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  const socklen_t length = base::SocketAddress::parse("127.0.0.1:0")->to_sockaddr(&address);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  dialer.next_faults.descriptor = socket.get();
  auto& client = connect_client();
  get(client);
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 200 "));
  EXPECT_FALSE(has(logged(), "identity="));
  dialer.next_faults.descriptor = -1;
  get(client);
  ASSERT_EQ(dialer.dialled.size(), 2u) << "nobody else is given the plain one";
  EXPECT_EQ(dialer.dialled[1].identity, "prod/api");
  EXPECT_TRUE(has(logged(), "dst.identity="));
}

// A tunnel that drains is cut in the end, with whatever is on its way then.
TEST_F(IdentityTest, a_connection_whose_tunnel_drains_ends_its_request_and_gets_no_other) {
  auto& client = connect_client();
  get(client);
  const auto first = dialer.last_faults;
  get(client);
  EXPECT_EQ(dialer.dialled.size(), 1u) << "kept";
  first->ends_soon = true;
  get(client);
  EXPECT_EQ(dialer.dialled.size(), 2u) << "it idled: the next request goes by another";
  (void)accepted[0]->take();
  EXPECT_TRUE(accepted[0]->at_end());
  say(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
  dialer.last_faults->ends_soon = true;
  say(*accepted.back(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  (void)accepted.back()->take();
  EXPECT_TRUE(accepted.back()->at_end()) << "it was busy: closed behind its answer";
  get(client);
  EXPECT_EQ(dialer.dialled.size(), 3u);
}

TEST_F(IdentityTest, a_pooled_connection_is_not_used_for_another_identity_at_the_same_address) {
  get(connect_client());
  snapshot.workloads[1].service_account = "other";
  ++snapshot.version;
  get(connect_client());
  ASSERT_EQ(dialer.dialled.size(), 2u);
  EXPECT_EQ(dialer.dialled[1].identity, "prod/other");
}

TEST_F(IdentityTest, a_caller_that_the_snapshot_does_not_know_is_recorded_without_a_name) {
  info.source = model::kNone;
  get(connect_client());
  EXPECT_EQ(dialer.dialled.at(0).identity, "prod/api") << "the destination has to prove itself all the same";
  const auto line = logged();
  EXPECT_FALSE(has(line, "src.identity=")) << line;
  EXPECT_TRUE(has(line, "dst.identity=\"spiffe://cluster.local/ns/prod/sa/api\"")) << line;
}

TEST_F(IdentityTest, a_destination_that_is_not_who_it_should_be_is_a_503_that_says_so) {
  dialer.refuse[1001] = {.kind = base::ErrorKind::kUntrusted, .side = base::Side::kDestination, .what = "no"};
  auto& client = connect_client();
  say(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(has(logged(), "identity was not proven"));
}

}  // namespace
}  // namespace weft::http
