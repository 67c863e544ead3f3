#include "bpf/decide/policy.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

uint32_t id_in(const weft_policy_key& key) {
  uint32_t id = 0;
  std::memcpy(&id, key.value.bytes, sizeof id);
  return id;
}

constexpr uint32_t kAllKinds = (1u << 24) - 1;

weft_party party_of(uint32_t identity, uint32_t name_space, const weft_address* source) {
  return {.pod_id = 5,
          .identity = identity,
          .namespace_id = name_space,
          .kinds = kAllKinds,
          .port = 8080,
          .address = *source};
}

uint32_t length_of(uint32_t subject) {
  if (subject == WEFT_SUBJECT_IDENTITY || subject == WEFT_SUBJECT_NAMESPACE) return 96;
  return subject == WEFT_SUBJECT_ADDRESS ? 192 : 64;
}

TEST(DecidePolicy, TwentyKeysCoverEachActionSubjectAndPortOnceDenyFirst) {
  const weft_address source = at("10.0.0.9");
  const weft_party party = party_of(60, 600, &source);
  std::set<std::tuple<int, int, int>> seen;
  for (uint32_t index = 0; index < WEFT_POLICY_KEYS; ++index) {
    weft_policy_key key;
    std::memset(&key, 0xff, sizeof key);
    ASSERT_TRUE(weft_policy_key_at(&party, index, &key)) << index;
    seen.emplace(key.action, key.subject, key.port);
    EXPECT_EQ(key.pod_id, 5U);
    EXPECT_EQ(key.action, index < 10 ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW) << index;
    EXPECT_TRUE(key.port == 0 || key.port == 8080);
    EXPECT_EQ(key.prefix_length, length_of(key.subject));
    EXPECT_NE(key.subject, WEFT_SUBJECT_ANONYMOUS);
    if (key.subject == WEFT_SUBJECT_IDENTITY) {
      EXPECT_EQ(id_in(key), 60U);
    }
    if (key.subject == WEFT_SUBJECT_NAMESPACE) {
      EXPECT_EQ(id_in(key), 600U);
    }
    if (key.subject == WEFT_SUBJECT_ADDRESS) {
      EXPECT_TRUE(weft_same_address(&key.value, &source));
    }
  }
  EXPECT_EQ(seen.size(), 20U);
}

TEST(DecidePolicy, NobodyIsAnonymousAndHasNoIdentityAndNoNamespace) {
  const weft_address source = at("10.0.0.9");
  const weft_party party = party_of(0, 0, &source);
  std::set<int> subjects;
  for (uint32_t index = 0; index < WEFT_POLICY_KEYS; ++index) {
    weft_policy_key key;
    if (weft_policy_key_at(&party, index, &key)) subjects.insert(key.subject);
  }
  EXPECT_EQ(subjects, (std::set<int>{WEFT_SUBJECT_ANYONE, WEFT_SUBJECT_ADDRESS, WEFT_SUBJECT_ANONYMOUS}));
}

TEST(DecidePolicy, AKindOfKeyThatThePodHasNotIsNotLookedUp) {
  const weft_address source = at("10.0.0.9");
  std::set<uint32_t> bits;
  for (uint32_t action : {WEFT_ACTION_DENY, WEFT_ACTION_ALLOW})
    for (uint32_t subject = WEFT_SUBJECT_ANYONE; subject <= WEFT_SUBJECT_PROVEN; ++subject)
      for (uint16_t port : {0, 8080}) {
        const bool proven = subject != WEFT_SUBJECT_ANONYMOUS;
        weft_party party = party_of(proven ? 60 : 0, proven ? 600 : 0, &source);
        party.kinds = WEFT_POLICY_KIND(action, subject, port);
        bits.insert(party.kinds);
        uint32_t asked = 0;
        for (uint32_t index = 0; index < WEFT_POLICY_KEYS; ++index) {
          weft_policy_key key;
          if (!weft_policy_key_at(&party, index, &key)) continue;
          ++asked;
          EXPECT_EQ(key.action, action);
          EXPECT_EQ(key.subject, subject);
          EXPECT_EQ(key.port, port);
        }
        EXPECT_EQ(asked, 1U) << action << " " << subject << " " << port;
      }
  EXPECT_EQ(bits.size(), 24U) << "each kind has its own bit";
}

TEST(DecidePolicy, WithoutAllowRulesOnlyTheDenyKeysAreLookedUp) {
  EXPECT_EQ(weft_policy_keys(false), 10U);
  EXPECT_EQ(weft_policy_keys(true), 20U);
}

TEST(DecidePolicy, TheFirstKeyFoundDecidesAndNoneMeansAllowUnlessSomeAllowExists) {
  for (uint32_t deny = 0; deny < 10; ++deny) EXPECT_FALSE(weft_policy_admits(deny, true)) << deny;
  for (uint32_t allow = 10; allow < 20; ++allow) EXPECT_TRUE(weft_policy_admits(allow, true)) << allow;
  EXPECT_TRUE(weft_policy_admits(WEFT_POLICY_KEYS, false));
  EXPECT_FALSE(weft_policy_admits(WEFT_POLICY_KEYS, true));
}

}  // namespace
}  // namespace weft::test
