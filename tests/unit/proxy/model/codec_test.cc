#include "userspace-proxy/model/codec.h"

#include <gtest/gtest.h>

#include "tests/support/full_snapshot.h"
#include "userspace-proxy/model/limits.h"
#include "userspace-proxy/model/snapshot.pb.h"

namespace weft::model {
namespace {

std::string refusal_of(const Snapshot& snapshot) {
  const auto decoded = decode(encode(snapshot));
  return decoded ? "" : decoded.error().what;
}

TEST(CodecTest, every_field_survives_the_round_trip) {
  const Snapshot before = test::full_snapshot();
  const auto after = decode(encode(before));
  ASSERT_TRUE(after) << after.error().what;
  EXPECT_TRUE(test::same(before, **after));
}

TEST(CodecTest, an_empty_snapshot_survives_with_its_indexes_none) {
  const auto after = decode(encode(Snapshot{}));
  ASSERT_TRUE(after) << after.error().what;
  EXPECT_EQ((*after)->self, kNone);
  EXPECT_TRUE(test::same(Snapshot{}, **after));
}

TEST(CodecTest, the_bytes_are_an_ordinary_protobuf_message) {
  wire::Snapshot message;
  ASSERT_TRUE(message.ParseFromString(encode(test::full_snapshot())));
  EXPECT_EQ(message.workloads(0).name(), "web-1");
  EXPECT_EQ(message.policy_rules(0).clauses(0).matches(0).ports(1), 443u);
}

TEST(CodecTest, an_index_out_of_range_is_named) {
  Snapshot s = test::full_snapshot();
  s.route_tables[0].hosts[0].routes[0].clusters[1].cluster = 9;
  EXPECT_EQ(
      refusal_of(s),
      "snapshot: route_tables[0].hosts[0].routes[0].clusters[1].cluster: 9 is out of range, there are 1");
  s = test::full_snapshot();
  s.clusters[0].endpoints[1].workload = 1;
  EXPECT_EQ(refusal_of(s), "snapshot: clusters[0].endpoints[1].workload: 1 is out of range, there are 1");
  s = test::full_snapshot();
  s.local_pods[0].workload = kNone;
  EXPECT_EQ(refusal_of(s), "snapshot: local_pods[0].workload: 4294967295 is out of range");
}

TEST(CodecTest, empty_names_long_texts_and_port_zero_are_named) {
  Snapshot s = test::full_snapshot();
  s.services[0].hostname.clear();
  EXPECT_EQ(refusal_of(s), "snapshot: services[0].hostname: empty");
  s = test::full_snapshot();
  s.route_tables[0].hosts[0].routes[0].matches[0].uri[0].value.assign(kMaxText + 1, 'a');
  EXPECT_NE(refusal_of(s).find("matches[0].uri, method, authority, scheme[0].value: 16385 bytes"),
            std::string::npos)
      << refusal_of(s);
  s = test::full_snapshot();
  s.services[0].ports[0].port = 0;
  EXPECT_EQ(refusal_of(s), "snapshot: services[0].ports[0].port: 0");
  s = test::full_snapshot();
  s.gateway_listeners[0].bind_port = 0;
  EXPECT_EQ(refusal_of(s), "snapshot: gateway_listeners[0].bind_port: 0");
}

TEST(CodecTest, a_policy_that_two_readers_could_read_in_two_ways_is_refused) {
  Snapshot s = test::full_snapshot();
  s.policy_rules[0].clauses[0][1] = {};
  EXPECT_EQ(refusal_of(s), "snapshot: policy_rules[0].clauses[0].matches[1].match: says nothing");
  s = test::full_snapshot();
  s.policy_rules[0].clauses[0][0].principals[0].value.clear();
  EXPECT_EQ(refusal_of(s),
            "snapshot: policy_rules[0].clauses[0].matches[0].principals[0].value: only presence has an empty one");
  s = test::full_snapshot();
  s.policy_rules[0].clauses[0][0].service_accounts[0] = "web";
  EXPECT_NE(refusal_of(s).find("service_accounts[0].name: not of the form namespace/account"), std::string::npos)
      << refusal_of(s);
  s = test::full_snapshot();
  s.policy_rules[1].id = 0;
  EXPECT_EQ(refusal_of(s), "snapshot: policy_rules[1].id: 0");
  s = test::full_snapshot();
  s.local_pods[0].rules = {2};
  EXPECT_EQ(refusal_of(s), "snapshot: local_pods[0].rules: 2 is out of range, there are 2");
  s = test::full_snapshot();
  s.local_pods[0].port_modes.push_back(s.local_pods[0].port_modes[0]);
  EXPECT_EQ(refusal_of(s), "snapshot: local_pods[0].port_modes[1].port: 8080 after 8080");
  s = test::full_snapshot();
  s.workloads[0].excluded_ports = {81, 80};
  EXPECT_EQ(refusal_of(s), "snapshot: workloads[0].excluded_ports: not in order");
}

TEST(CodecTest, another_format_number_is_refused) {
  wire::Snapshot message;
  message.set_format(kSnapshotFormat + 1);
  const auto decoded = decode(message.SerializeAsString());
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().what, "snapshot: format 3, this program reads 2");
}

TEST(CodecTest, an_address_of_a_strange_length_and_an_unknown_enum_are_named) {
  wire::Snapshot message;
  message.set_format(kSnapshotFormat);
  message.add_workloads()->add_addresses("12345");
  EXPECT_EQ(decode(message.SerializeAsString()).error().what,
            "snapshot: workloads[0]: an address of 5 bytes");
  message.mutable_workloads(0)->Clear();
  message.add_clusters()->set_protocol(77);
  EXPECT_EQ(decode(message.SerializeAsString()).error().what,
            "snapshot: clusters[0]: protocol 77 is unknown");
}

TEST(CodecTest, bytes_cut_at_any_place_are_refused_or_a_valid_shorter_snapshot) {
  const std::string bytes = encode(test::full_snapshot());
  size_t refused = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto decoded = decode(std::string_view(bytes).substr(0, length));
    if (!decoded) {
      ++refused;
      continue;
    }
    EXPECT_TRUE(validate(**decoded)) << length;
  }
  EXPECT_GT(refused, bytes.size() * 9 / 10);
}

TEST(CodecTest, small_bytes_that_stand_for_much_memory_are_refused) {
  // Two bytes of wire an empty route match, hundreds of bytes in memory.
  std::string route;
  for (size_t i = 0; i < kMaxList; ++i) route += std::string("\x1a\x00", 2);
  wire::VirtualHost host;
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(host.add_routes()->ParseFromString(route));
  wire::Snapshot message;
  message.set_format(kSnapshotFormat);
  *message.add_route_tables()->add_hosts() = host;
  const auto decoded = decode(message.SerializeAsString());
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().what, "snapshot: route_tables[0]: it would take too much memory");
}

TEST(CodecTest, an_element_or_a_list_over_its_bound_is_refused) {
  wire::Snapshot message;
  message.set_format(kSnapshotFormat);
  message.add_workloads()->set_name(std::string(kMaxElement + 1, 'a'));
  EXPECT_NE(decode(message.SerializeAsString()).error().what.find("holds an element of"), std::string::npos);
  message.clear_workloads();
  for (size_t i = 0; i <= kMaxGatewayListeners; ++i) message.add_gateway_listeners();
  EXPECT_EQ(decode(message.SerializeAsString()).error().what, "snapshot: gateway_listeners: more than 1024");
}

}  // namespace
}  // namespace weft::model
