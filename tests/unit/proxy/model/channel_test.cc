#include "userspace-proxy/model/channel.h"

#include <gtest/gtest.h>

#include "userspace-proxy/model/channel.pb.h"

namespace weft::model {
namespace {

const PodKey kPod{.name = "dev/web-1", .netns_cookie = 1ull << 33};

template <typename Message>
Message to_proxy(const Message& message, size_t fds) {
  const auto back = decode_to_proxy(encode(ToProxy(message)), fds);
  EXPECT_TRUE(back) << back.error().what;
  return std::get<Message>(*back);
}

TEST(ChannelTest, messages_to_the_proxy_survive_the_round_trip) {
  const ListenerKey gateway{kPod, ListenerKind::kGateway, Family::kV6, 8080};
  const StockKey stock{kPod, StockKind::kInbound, Family::kV4};
  EXPECT_EQ(to_proxy(ListenerOffer{gateway}, 1).key, gateway);
  EXPECT_EQ(to_proxy(ListenerGone{gateway}, 0).key, gateway);
  EXPECT_EQ(to_proxy(PodGone{kPod}, 0).pod, kPod);
  EXPECT_EQ(to_proxy(StockOffer{stock}, 64).key, stock);
  EXPECT_EQ(to_proxy(StockTarget{stock, 12}, 0).keep, 12u);
  EXPECT_TRUE(to_proxy(LiveSettings{true}, 0).access_log);
  EXPECT_EQ(to_proxy(SnapshotOffer{7, 1000}, 1).bytes, 1000u);
  (void)to_proxy(Synced{}, 0);
  const SpiffeId id{"cluster.local", "dev", "web"};
  EXPECT_EQ(to_proxy(KeyWanted{id, 5}, 0).identity, id);
  EXPECT_EQ(to_proxy(CertificateOffer{id, 6, 900}, 1).key_id, 6u);
  EXPECT_EQ(to_proxy(CertificateFailed{id, "no CA"}, 0).reason, "no CA");
  EXPECT_EQ(to_proxy(IdentityGone{id}, 0).identity, id);
  EXPECT_EQ(to_proxy(TrustBundleOffer{3, 700}, 1).generation, 3u);
}

TEST(ChannelTest, messages_to_the_agent_survive_the_round_trip) {
  const StockKey key{kPod, StockKind::kOutbound, Family::kV6};
  const auto level = std::get<StockLevel>(*decode_to_agent(encode(ToAgent(StockLevel{key, 3, 64, 61})), 0));
  EXPECT_EQ(level.key, key);
  EXPECT_EQ(level.level, 3u);
  EXPECT_EQ(level.received, 64u);
  EXPECT_EQ(level.taken, 61u);
  const auto verdict =
      std::get<Verdict>(*decode_to_agent(encode(ToAgent(Verdict{9, "clusters[1].name: empty"})), 0));
  EXPECT_EQ(verdict.refusal, "clusters[1].name: empty");
  const auto hello = std::get<Hello>(*decode_to_agent(encode(ToAgent(Hello{1, "0.1.0", 4})), 0));
  EXPECT_EQ(hello.workers, 4u);
}

TEST(ChannelTest, certificate_messages_to_the_agent_survive_the_round_trip) {
  const SpiffeId id{"cluster.local", "dev", "web"};
  const auto request =
      std::get<CertificateRequest>(*decode_to_agent(encode(ToAgent(CertificateRequest{id, 5, "der"})), 0));
  EXPECT_EQ(request.identity, id);
  EXPECT_EQ(request.key_id, 5u);
  EXPECT_EQ(request.request, "der");
  EXPECT_EQ(std::get<IdentityNeeded>(*decode_to_agent(encode(ToAgent(IdentityNeeded{id})), 0)).identity, id);
}

TEST(ChannelTest, broken_certificate_messages_are_refused) {
  const SpiffeId id{"cluster.local", "dev", "web"};
  EXPECT_FALSE(decode_to_agent(encode(ToAgent(CertificateRequest{id, 5, ""})), 0));
  EXPECT_FALSE(decode_to_agent(encode(ToAgent(CertificateRequest{id, 5, std::string(3000, 'x')})), 0));
  EXPECT_FALSE(decode_to_agent(encode(ToAgent(IdentityNeeded{{"cluster.local", "a/b", "web"}})), 0));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(CertificateOffer{id, 6, 0})), 1));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(TrustBundleOffer{3, kMaxChainBytes + 1})), 1));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(TrustBundleOffer{3, 10})), 0)) << "no descriptor";
}

TEST(ChannelTest, a_wrong_number_of_descriptors_is_refused) {
  const ListenerKey key{kPod, ListenerKind::kInbound, Family::kV4};
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(ListenerOffer{key})), 0));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(ListenerOffer{key})), 2));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(PodGone{kPod})), 1));
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(StockOffer{})), 0));
  EXPECT_FALSE(decode_to_agent(encode(ToAgent(Hello{})), 1));
}

TEST(ChannelTest, strange_keys_are_refused) {
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(PodGone{})), 0)) << "a pod without a name";
  EXPECT_FALSE(decode_to_proxy(encode(ToProxy(PodGone{{std::string(400, 'a'), 1}})), 0));
  EXPECT_FALSE(
      decode_to_proxy(encode(ToProxy(ListenerOffer{{kPod, ListenerKind::kGateway, Family::kV4, 0}})), 1));
  EXPECT_FALSE(
      decode_to_proxy(encode(ToProxy(ListenerOffer{{kPod, ListenerKind::kInbound, Family::kV4, 80}})), 1));
  wire::ToProxy message;
  message.mutable_stock()->mutable_key()->mutable_pod()->set_name("a/b");
  message.mutable_stock()->mutable_key()->set_kind(3);
  message.mutable_stock()->mutable_key()->set_family(4);
  EXPECT_FALSE(decode_to_proxy(message.SerializeAsString(), 1)) << "no third kind of stock";
  message.mutable_stock()->mutable_key()->set_kind(1);
  message.mutable_stock()->mutable_key()->set_family(5);
  EXPECT_FALSE(decode_to_proxy(message.SerializeAsString(), 1)) << "no fifth family";
}

TEST(ChannelTest, noise_is_refused) {
  EXPECT_FALSE(decode_to_proxy("", 0));
  EXPECT_FALSE(decode_to_proxy("\xff\xff\xff", 0));
  EXPECT_FALSE(decode_to_agent(std::string(kMaxPacketBytes + 1, '\n'), 0));
}

}  // namespace
}  // namespace weft::model
