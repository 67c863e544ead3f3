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

TEST(DecidePolicy, SixteenKeysCoverEachActionSubjectAndPortOnceDenyFirst) {
  const weft_address source = at("10.0.0.9");
  const weft_party party{5, 60, 600, 8080, &source};
  std::set<std::tuple<int, int, int>> seen;
  for (uint32_t index = 0; index < WEFT_POLICY_KEYS; ++index) {
    weft_policy_key key;
    std::memset(&key, 0xff, sizeof key);
    ASSERT_TRUE(weft_policy_key_at(&party, index, &key)) << index;
    seen.emplace(key.action, key.subject, key.port);
    EXPECT_EQ(key.pod_id, 5U);
    EXPECT_EQ(key.action, index < 8 ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW) << index;
    EXPECT_TRUE(key.port == 0 || key.port == 8080);
    switch (key.subject) {
      case WEFT_SUBJECT_ANYONE:
        EXPECT_EQ(key.prefix_length, 64U);
        break;
      case WEFT_SUBJECT_IDENTITY:
        EXPECT_EQ(key.prefix_length, 96U);
        EXPECT_EQ(id_in(key), 60U);
        break;
      case WEFT_SUBJECT_NAMESPACE:
        EXPECT_EQ(key.prefix_length, 96U);
        EXPECT_EQ(id_in(key), 600U);
        break;
      default:
        EXPECT_EQ(key.prefix_length, 192U);
        EXPECT_TRUE(weft_same_address(&key.value, &source));
    }
  }
  EXPECT_EQ(seen.size(), 16U);
}

TEST(DecidePolicy, NobodyIsNoIdentityAndNoNamespace) {
  const weft_address source = at("10.0.0.9");
  const weft_party party{5, 0, 0, 8080, &source};
  for (uint32_t index = 0; index < WEFT_POLICY_KEYS; ++index) {
    weft_policy_key key;
    const bool speaks = weft_policy_key_at(&party, index, &key);
    EXPECT_EQ(speaks, key.subject == WEFT_SUBJECT_ANYONE || key.subject == WEFT_SUBJECT_ADDRESS) << index;
  }
}

TEST(DecidePolicy, WithoutAllowRulesOnlyTheDenyKeysAreLookedUp) {
  EXPECT_EQ(weft_policy_keys(false), 8U);
  EXPECT_EQ(weft_policy_keys(true), 16U);
}

TEST(DecidePolicy, TheFirstKeyFoundDecidesAndNoneMeansAllowUnlessSomeAllowExists) {
  for (uint32_t deny = 0; deny < 8; ++deny) EXPECT_FALSE(weft_policy_admits(deny, true)) << deny;
  for (uint32_t allow = 8; allow < 16; ++allow) EXPECT_TRUE(weft_policy_admits(allow, true)) << allow;
  EXPECT_TRUE(weft_policy_admits(WEFT_POLICY_KEYS, false));
  EXPECT_FALSE(weft_policy_admits(WEFT_POLICY_KEYS, true));
}

}  // namespace
}  // namespace weft::test
