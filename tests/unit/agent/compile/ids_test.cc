#include "agent/compile/ids.h"

#include <gtest/gtest.h>

#include "tests/support/compile_fixture.h"

namespace weft::compile {
namespace {

Ids restarted(const Ids& ids) {
  Tables pinned;
  pinned.names = ids.names();
  return Ids::recover(pinned);
}

TEST(Ids, OneNameKeepsOneNumber) {
  Ids ids;
  const uint32_t a = ids.identity("dev/a");
  EXPECT_NE(a, 0U);
  EXPECT_NE(ids.identity("dev/b"), a);
  EXPECT_EQ(ids.identity("dev/a"), a);
}

TEST(Ids, NumbersAreStableOverARestart) {
  Ids ids;
  const uint32_t a = ids.identity("dev/a"), ns = ids.name_space("dev");
  const PodId pod = ids.pod("uid-1");
  Ids again = restarted(ids);
  EXPECT_EQ(again.identity("dev/a"), a);
  EXPECT_EQ(again.name_space("dev"), ns);
  EXPECT_EQ(again.pod("uid-1").id, pod.id);
  EXPECT_EQ(again.pod("uid-1").generation, pod.generation);
}

TEST(Ids, AServiceNumberIsRecoveredFromTheServicesThemselves) {
  Tables pinned;
  Service service{};
  service.head.service_id = 41;
  pinned.services.emplace(key_of("10.96.0.1", 80), service);
  Ids ids = Ids::recover(pinned);
  EXPECT_EQ(ids.service(key_of("10.96.0.1", 80)), 41U);
  EXPECT_EQ(ids.service(key_of("10.96.0.2", 80)), 42U);
}

TEST(Ids, ANumberIsNotGivenTwiceEvenAfterItsNameIsForgottenAndTheAgentStartsAgain) {
  Ids ids;
  const uint32_t gone = ids.identity("dev/gone"), gone_service = ids.service(key_of("10.96.0.9", 80));
  ids.begin();
  ids.finish();
  Ids again = restarted(ids);
  EXPECT_GT(again.identity("dev/new"), gone);
  EXPECT_GT(again.identity("dev/gone"), gone);
  EXPECT_GT(again.service(key_of("10.96.0.10", 80)), gone_service);
}

TEST(Ids, APodIdIsUsedAgainWithAnotherGeneration) {
  Ids ids;
  std::vector<PodId> first;
  for (int i = 0; i < WEFT_MAX_LOCAL_PODS; ++i) first.push_back(ids.pod("uid-" + std::to_string(i)));
  EXPECT_EQ(ids.pod("one too many").id, 0U);
  ids.begin();
  for (int i = 1; i < WEFT_MAX_LOCAL_PODS; ++i) (void)ids.pod("uid-" + std::to_string(i));
  ids.finish();
  const PodId second = ids.pod("uid-new");
  EXPECT_EQ(second.id, first[0].id);
  EXPECT_NE(second.generation, first[0].generation);
  Ids again = restarted(ids);
  EXPECT_EQ(again.pod("uid-new").generation, second.generation);
}

TEST(Ids, AFreedPodIdIsTheLastToBeUsedAgain) {
  Ids ids;
  const PodId first = ids.pod("uid-1");
  ids.begin();
  ids.finish();
  EXPECT_NE(ids.pod("uid-2").id, first.id);
}

TEST(Ids, NamesThatWereLeftByAnotherAgentCannotBreakIt) {
  Tables pinned;
  weft_name name{};
  std::memset(name.text, 'x', sizeof name.text);
  pinned.names.emplace(weft_name_key{WEFT_NAME_POD, 0}, name);
  pinned.names.emplace(weft_name_key{WEFT_NAME_POD, WEFT_MAX_LOCAL_PODS + 1}, name);
  pinned.names.emplace(weft_name_key{77, 1}, name);
  pinned.names.emplace(weft_name_key{WEFT_NAME_NEXT, 99}, name);
  pinned.names.emplace(weft_name_key{WEFT_NAME_IDENTITY, 3}, name);
  Ids ids = Ids::recover(pinned);
  EXPECT_EQ(ids.identity("dev/a"), 4U);
  EXPECT_EQ(ids.pod("uid").id, 1U);
}

}  // namespace
}  // namespace weft::compile
