#include "agent/certs/answer.h"

#include "agent/certs/pem.h"
#include "tests/unit/agent/certs/authority.h"

namespace weft::certs {
namespace {

using std::chrono::hours;

const model::SpiffeId kWeb{"cluster.local", "dev", "web"};
const base::WallTime kNow{hours(480'000)};
const base::WallTime kBegin = kNow - hours(1), kEnd = kNow + hours(23);

struct AnswerTest : testing::Test {
  Authority root{"root", kBegin - hours(1000), kEnd + hours(1000)};
  grpc::KeyPtr key = new_key();
  std::string request = request_for(*key);
  Wish wish{.names = uri(kWeb), .begin = kBegin, .end = kEnd};

  [[nodiscard]] Answer good() const { return {{root.sign(*key, wish), root.pem()}}; }
  [[nodiscard]] std::optional<Refusal> refusal(const Answer& answer, const Roots* anchors = nullptr) const {
    auto checked = check_answer(answer, kWeb, request, kNow, anchors);
    if (checked) return {};
    EXPECT_FALSE(checked.error().what.empty());
    return checked.error().why;
  }
};

TEST_F(AnswerTest, as_it_should_be_yields_the_chain_its_times_and_its_roots) {
  const auto checked = check_answer(good(), kWeb, request, kNow, nullptr);
  ASSERT_TRUE(checked.has_value()) << checked.error().what;
  EXPECT_EQ(read_strict(checked->chain, 8)->size(), 1u);
  EXPECT_EQ(checked->not_before, kBegin);
  EXPECT_EQ(checked->not_after, kEnd);
  EXPECT_EQ(checked->roots->pem(), root.pem());
}

TEST_F(AnswerTest, with_an_intermediate_keeps_it_in_the_chain_and_the_root_out_of_it) {
  const Authority between("between", kBegin - hours(10), kEnd + hours(10), &root);
  const Answer answer{{between.sign(*key, wish), between.pem(), root.pem()}};
  const auto checked = check_answer(answer, kWeb, request, kNow, nullptr);
  ASSERT_TRUE(checked.has_value()) << checked.error().what;
  EXPECT_EQ(read_strict(checked->chain, 8)->size(), 2u);
  EXPECT_EQ(checked->chain.find(root.pem()), std::string::npos);
}

TEST_F(AnswerTest, with_several_roots_in_its_last_element_is_taken) {
  const Authority other("other", kBegin, kEnd);
  auto answer = good();
  answer.elements.back() += other.pem();
  const auto checked = check_answer(answer, kWeb, request, kNow, nullptr);
  ASSERT_TRUE(checked.has_value());
  EXPECT_EQ(checked->roots->count(), 2u);
}

TEST_F(AnswerTest, without_a_root_is_refused) {
  EXPECT_EQ(refusal({}), Refusal::kNoRoot);
  EXPECT_EQ(refusal({{root.sign(*key, wish)}}), Refusal::kNoRoot);
  const std::string leaf = root.sign(*key, wish);
  EXPECT_EQ(refusal({{leaf, leaf}}), Refusal::kNoRoot);
}

TEST_F(AnswerTest, with_an_element_that_is_not_one_certificate_is_refused) {
  const std::string leaf = root.sign(*key, wish);
  EXPECT_EQ(refusal({{leaf + leaf, root.pem()}}), Refusal::kNotOne);
  EXPECT_EQ(refusal({{leaf, root.pem() + root.pem(), root.pem()}}), Refusal::kNotOne);
}

TEST_F(AnswerTest, that_is_not_x509_throughout_is_refused) {
  const std::string leaf = root.sign(*key, wish);
  EXPECT_EQ(refusal({{"", root.pem()}}), Refusal::kUnreadable);
  EXPECT_EQ(refusal({{leaf, "nonsense", root.pem()}}), Refusal::kUnreadable);
  EXPECT_EQ(refusal({{leaf.substr(0, leaf.size() / 2), root.pem()}}), Refusal::kUnreadable);
  EXPECT_EQ(refusal({std::vector<std::string>(kMostElements + 1, leaf)}), Refusal::kUnreadable);
}

TEST_F(AnswerTest, that_carries_a_private_key_is_refused) {
  const std::string leaf = root.sign(*key, wish), secret = grpc::write_private_key(*key);
  EXPECT_EQ(refusal({{secret + leaf, root.pem()}}), Refusal::kUnreadable);
  EXPECT_EQ(refusal({{leaf, root.pem() + secret}}), Refusal::kNoRoot);
}

TEST_F(AnswerTest, for_another_key_is_refused) {
  const auto other = new_key();
  EXPECT_EQ(refusal({{root.sign(*other, wish), root.pem()}}), Refusal::kOtherKey);
}

TEST_F(AnswerTest, for_another_identity_or_for_two_or_for_none_is_refused) {
  const std::string other = "URI:spiffe://cluster.local/ns/dev/sa/admin";
  for (const std::string& names : std::vector<std::string>{"", "DNS:web.dev", other, uri(kWeb) + "," + other,
                                                           uri(kWeb) + "," + uri(kWeb), uri(kWeb) + "/",
                                                           "URI:SPIFFE://cluster.local/ns/dev/sa/web"}) {
    wish.names = names;
    EXPECT_EQ(refusal(good()), Refusal::kOtherIdentity) << names;
  }
}

TEST_F(AnswerTest, that_serves_one_end_only_is_refused) {
  for (const char* usage : {"serverAuth", "clientAuth", "codeSigning"}) {
    wish.usage = usage;
    EXPECT_EQ(refusal(good()), Refusal::kWrongUse) << usage;
  }
}

TEST_F(AnswerTest, that_is_not_valid_now_is_refused) {
  wish.begin = kNow + hours(1);
  EXPECT_EQ(refusal(good()), Refusal::kOutOfTime);
  wish.begin = kBegin;
  wish.end = kNow;
  EXPECT_EQ(refusal(good()), Refusal::kOutOfTime);
}

TEST_F(AnswerTest, below_a_root_that_is_not_believed_is_refused_whatever_its_own_roots_say) {
  const Authority other("other", kBegin, kEnd);
  const auto believed = *Roots::parse(other.pem());
  EXPECT_EQ(refusal(good(), believed.get()), Refusal::kUnknownAuthority);
  EXPECT_EQ(refusal({{root.sign(*key, wish), other.pem()}}), Refusal::kUnknownAuthority);
  const auto both = *Roots::parse(other.pem() + root.pem());
  EXPECT_EQ(refusal(good(), both.get()), std::nullopt);
}

TEST_F(AnswerTest, is_believed_for_as_long_as_its_root_is_in_the_bundle) {
  const auto checked = check_answer(good(), kWeb, request, kNow, nullptr);
  ASSERT_TRUE(checked.has_value());
  EXPECT_TRUE(is_believed(checked->chain, *checked->roots, kNow));
  const Authority other("other", kBegin, kEnd);
  EXPECT_FALSE(is_believed(checked->chain, **Roots::parse(other.pem()), kNow));
}

TEST(Request, is_a_whole_pkcs10_signed_with_its_own_key) {
  const auto key = new_key();
  const std::string good = request_for(*key);
  EXPECT_TRUE(read_request(good).has_value());
  EXPECT_TRUE(request_to_pem(good)->starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
  EXPECT_FALSE(read_request(""));
  EXPECT_FALSE(read_request(good + "x"));
  EXPECT_FALSE(read_request(good.substr(0, good.size() - 1)));
  std::string forged = good;
  forged.back() = static_cast<char>(forged.back() ^ 1);
  EXPECT_FALSE(read_request(forged));
}

TEST(Request, cannot_be_a_private_key) {
  const auto key = new_key();
  unsigned char* der = nullptr;
  const int size = i2d_PrivateKey(key.get(), &der);
  ASSERT_GT(size, 0);
  EXPECT_FALSE(read_request(std::string(reinterpret_cast<char*>(der), static_cast<size_t>(size))));
  OPENSSL_free(der);
}

}  // namespace
}  // namespace weft::certs
