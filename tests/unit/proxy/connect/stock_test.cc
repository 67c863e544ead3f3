#include "userspace-proxy/connect/stock.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

namespace weft::connect {
namespace {

using model::Family;
using model::StockKind;

std::vector<base::Fd> sockets(size_t count) {
  std::vector<base::Fd> made;
  for (size_t i = 0; i < count; ++i) made.emplace_back(eventfd(0, EFD_CLOEXEC));
  return made;
}

model::StockKey key(const char* pod = "dev/web", uint64_t cookie = 1, StockKind kind = StockKind::kOutbound) {
  return {.pod = {pod, cookie}, .kind = kind, .family = Family::kV4};
}

size_t left(Stock& stock, const char* pod = "dev/web", StockKind kind = StockKind::kOutbound) {
  size_t count = 0;
  while (stock.take(pod, kind, Family::kV4)) ++count;
  return count;
}

TEST(StockTest, each_pod_kind_and_family_has_its_own_pool) {
  Stock stock;
  stock.add(key(), sockets(2));
  EXPECT_FALSE(stock.take("dev/web", StockKind::kInbound, Family::kV4));
  EXPECT_FALSE(stock.take("dev/web", StockKind::kOutbound, Family::kV6));
  EXPECT_FALSE(stock.take("dev/other", StockKind::kOutbound, Family::kV4));
  EXPECT_EQ(left(stock), 2u);
}

TEST(StockTest, a_pod_that_comes_back_with_another_cookie_drops_what_was_left_of_the_old_one) {
  Stock stock;
  stock.add(key("dev/web", 1), sockets(5));
  stock.add(key("dev/web", 2), sockets(1));
  stock.drop({"dev/web", 1});  // late news about the old one
  EXPECT_EQ(left(stock), 1u);
  stock.drop({"dev/web", 2});
  EXPECT_EQ(left(stock), 0u);
}

TEST(StockTest, trimming_closes_what_is_beyond_the_target) {
  Stock stock;
  stock.add(key(), sockets(8));
  stock.trim(key(), 3);
  EXPECT_EQ(left(stock), 3u);
}

TEST(StockTest, says_once_that_it_runs_low_and_again_when_it_is_empty) {
  Stock stock;
  stock.add(key(), sockets(8));
  (void)stock.draw_changes();
  for (int i = 0; i < 4; ++i) (void)stock.take("dev/web", StockKind::kOutbound, Family::kV4);
  EXPECT_FALSE(stock.low());
  (void)stock.take("dev/web", StockKind::kOutbound, Family::kV4);
  EXPECT_TRUE(stock.low());
  const auto changes = stock.draw_changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].key, key());
  EXPECT_EQ(changes[0].level, 3u);
  EXPECT_EQ(changes[0].taken, 5u);
  (void)stock.take("dev/web", StockKind::kOutbound, Family::kV4);
  EXPECT_FALSE(stock.low());
  EXPECT_EQ(left(stock), 2u);
  EXPECT_TRUE(stock.low());
}

}  // namespace
}  // namespace weft::connect
