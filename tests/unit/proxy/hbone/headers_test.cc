// The text forms of a CONNECT request's fields.
#include <gtest/gtest.h>

#include "userspace-proxy/hbone/headers.h"

namespace weft::hbone {
namespace {

TEST(authority, addresses_and_names_with_a_port_are_read_and_written_back) {
  for (const std::string_view text : {"10.1.2.3:80", "[fd00::1]:443", "web.shop.svc.cluster.local:8080", "db:1", "a_b-c:65535"}) {
    const auto read = parse_authority(text);
    ASSERT_TRUE(read) << text << ": " << base::describe(read.error());
    EXPECT_EQ(read->to_string(), text);
  }
  EXPECT_FALSE(parse_authority("10.1.2.3:80")->is_name());
  EXPECT_EQ(parse_authority("Web.Shop:80")->host, "web.shop");
}

TEST(authority, everything_else_is_refused_with_a_reason) {
  for (const std::string_view text :
       {"", ":", "web", "web:", ":80", "web:0", "web:65536", "web:+1", "web: 80", "web:080000", "10.1.2.3", "fd00::1:80",
        "[fd00::1]", "[fd00::1]80", "[10.1.2.3]:80", "[web]:80", "10.1.2:80", "1.2.3.4.5:80", "256.1.1.1:80", ".web:80",
        "we..b:80", "web.:80", "we b:80", "web/x:80", "user@web:80", "web:80:90", "w\xc3\xa9:80"}) {
    const auto read = parse_authority(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind, base::ErrorKind::kInvalid);
    EXPECT_FALSE(read.error().what.empty());
  }
  EXPECT_FALSE(parse_authority(std::string(254, 'a') + ":80"));
  EXPECT_FALSE(parse_authority(std::string(64, 'a') + ".b:80"));
}

TEST(baggage, is_written_in_order_and_read_back) {
  const Baggage all{.cluster = "c1",
                    .ns = "shop",
                    .workload_kind = "deployment",
                    .workload = "web",
                    .service = "web",
                    .revision = "v1",
                    .region = "r",
                    .zone = "z"};
  const auto text = write_baggage(all);
  EXPECT_EQ(text,
            "k8s.cluster.name=c1,k8s.namespace.name=shop,k8s.deployment.name=web,service.name=web,"
            "service.version=v1,cloud.region=r,cloud.availability_zone=z");
  EXPECT_EQ(parse_baggage(text), all);
  EXPECT_EQ(write_baggage({.ns = "shop"}), "k8s.namespace.name=shop");
  EXPECT_EQ(write_baggage({}), "");
}

TEST(baggage, a_value_that_would_forge_another_member_is_not_written) {
  EXPECT_EQ(write_baggage({.cluster = "a,k8s.namespace.name=kube-system", .ns = "shop"}), "k8s.namespace.name=shop");
  EXPECT_EQ(write_baggage({.ns = "sh\r\nop"}), "");
  EXPECT_EQ(write_baggage({.workload_kind = "evil.name=x,k8s.pod", .workload = "w"}), "");
}

TEST(baggage, unknown_empty_and_odd_members_are_passed_over) {
  const std::string_view text = "a=b, ,service.name=,service.name=web=x,service.name=second ,k8s.ns=1,k8s.job.name=j,k8s.pod.name=p,cloud.region";
  const auto read = parse_baggage(text);
  EXPECT_EQ(read.service, "web");  // between the first and the second '='
  EXPECT_EQ(read.workload_kind, "job");
  EXPECT_EQ(read.workload, "j");
  EXPECT_EQ(read.region, "");
  EXPECT_EQ(parse_baggage("service.name=" + std::string(kMaxBaggageValue + 1, 'x')).service, "");
}

TEST(baggage, members_beyond_the_bound_are_not_read) {
  std::string many;
  for (size_t i = 0; i < kMaxBaggage; ++i) many += "a=b,";
  EXPECT_EQ(parse_baggage(many + "service.name=late").service, "");
}

TEST(forwarded, names_the_client_and_the_service) {
  const auto client = *base::SocketAddress::parse("10.0.0.9:40000");
  EXPECT_EQ(write_forwarded(client, "web.shop"), "for=\"10.0.0.9:40000\";host=web.shop");
  EXPECT_EQ(write_forwarded(client, ""), "for=\"10.0.0.9:40000\"");
  EXPECT_EQ(write_forwarded(client, "web;proto=evil"), "for=\"10.0.0.9:40000\"");
  EXPECT_EQ(forwarded_host(write_forwarded(client, "web.shop")), "web.shop");
}

TEST(forwarded, only_the_first_host_is_read_without_its_quotes) {
  EXPECT_EQ(forwarded_host("for=1;host=\"web\";host=other"), "web");
  EXPECT_EQ(forwarded_host("Host=web"), "");
  EXPECT_EQ(forwarded_host("host="), "");
  EXPECT_EQ(forwarded_host("host=w\xc3\xa9"), "");
  EXPECT_EQ(forwarded_host("host=" + std::string(kMaxText, 'a')), "");
}

TEST(traceparent, is_read_and_written_back) {
  const std::string_view text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const auto read = parse_traceparent(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->flags, 1);
  EXPECT_EQ(read->to_string(), text);
}

TEST(traceparent, fresh_ones_differ_and_ask_nobody_to_sample) {
  std::mt19937_64 random(1);
  const auto first = fresh_traceparent(random), second = fresh_traceparent(random);
  EXPECT_EQ(first.to_string().size(), 55u);
  EXPECT_EQ(parse_traceparent(first.to_string()), first);
  EXPECT_EQ(first.flags, 0);
  EXPECT_NE(first.trace, second.trace);
  EXPECT_NE(first.parent, second.parent);
}

TEST(traceparent, a_malformed_one_is_none) {
  for (const std::string_view text :
       {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"})
    EXPECT_FALSE(parse_traceparent(text)) << text;
}

TEST(proxy_ports, are_never_a_destination) {
  for (const uint16_t port : {15000, 15001, 15006, 15008, 15020, 15021, 15080}) EXPECT_TRUE(is_proxy_port(port));
  for (const uint16_t port : {80, 15002, 15090, 8080}) EXPECT_FALSE(is_proxy_port(port));
}

}  // namespace
}  // namespace weft::hbone
