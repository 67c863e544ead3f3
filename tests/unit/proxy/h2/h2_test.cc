// What HTTP/2 sessions share: flood buckets, memory for bytes under way, memory of nghttp2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "userspace-proxy/h2/flood_guard.h"
#include "userspace-proxy/h2/lazy_memory.h"
#include "userspace-proxy/h2/pool.h"

namespace weft::h2 {
namespace {

TEST(bucket, gives_a_burst_and_then_what_the_rate_allows) {
  base::Instant now{base::Millis(1'000)};
  Bucket bucket(3, 10, now);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now += base::Millis(150);
  EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now += base::Millis(3'600'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
}

TEST(flood_guard, only_frames_that_carry_nothing_count) {
  const auto frame = [](uint8_t type, size_t length, uint8_t flags = 0) {
    nghttp2_frame out{};
    out.hd.type = type;
    out.hd.length = length;
    out.hd.flags = flags;
    return out;
  };
  for (const uint8_t type : {NGHTTP2_PING, NGHTTP2_SETTINGS, NGHTTP2_PRIORITY, NGHTTP2_RST_STREAM})
    EXPECT_TRUE(carries_nothing(frame(type, 8)));
  EXPECT_TRUE(carries_nothing(frame(NGHTTP2_DATA, 0)));
  EXPECT_FALSE(carries_nothing(frame(NGHTTP2_DATA, 1)));
  EXPECT_FALSE(carries_nothing(frame(NGHTTP2_DATA, 0, NGHTTP2_FLAG_END_STREAM)));
  EXPECT_FALSE(carries_nothing(frame(NGHTTP2_HEADERS, 0)));
  auto update = frame(NGHTTP2_WINDOW_UPDATE, 4);
  update.window_update.window_size_increment = 255;
  EXPECT_TRUE(carries_nothing(update));
  update.window_update.window_size_increment = 256;
  EXPECT_FALSE(carries_nothing(update));
}

TEST(chain, gives_bytes_back_in_order_and_its_blocks_when_it_is_empty) {
  Pool<ChainBlock> pool(2);
  {
    Chain chain(pool);
    std::string in, out;
    for (int i = 0; i < 5000; ++i) {
      const std::string piece = std::to_string(i) + ",";
      chain.append(piece);
      in += piece;
    }
    EXPECT_EQ(chain.size(), in.size());
    EXPECT_EQ(pool.lent(), (in.size() + ChainBlock::kRoom - 1) / ChainBlock::kRoom);
    char block[777];
    while (const size_t n = chain.take(block)) out.append(block, n);
    EXPECT_EQ(out, in);
    EXPECT_EQ(pool.lent(), 0u);
    chain.append("left");
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(lazy_memory, keeps_bytes_when_a_piece_grows_and_shrinks_across_the_mark) {
  nghttp2_mem& memory = *lazy_memory();
  auto* piece = static_cast<char*>(memory.malloc(100, nullptr));
  std::memset(piece, 'x', 100);
  for (const size_t size : {size_t{5'000}, size_t{20'000}, size_t{70'000}, size_t{200}}) {
    piece = static_cast<char*>(memory.realloc(piece, size, nullptr));
    ASSERT_NE(piece, nullptr);
    EXPECT_EQ(std::string_view(piece, 100), std::string(100, 'x'));
    piece[size - 1] = 'y';
  }
  memory.free(piece, nullptr);
  memory.free(nullptr, nullptr);
}

TEST(lazy_memory, zeroes_what_is_asked_for_so_and_refuses_what_overflows) {
  nghttp2_mem& memory = *lazy_memory();
  for (const size_t size : {size_t{64}, size_t{40'000}}) {
    auto* piece = static_cast<char*>(memory.calloc(2, size, nullptr));
    ASSERT_NE(piece, nullptr);
    EXPECT_EQ(std::count(piece, piece + 2 * size, '\0'), static_cast<ptrdiff_t>(2 * size));
    memory.free(piece, nullptr);
  }
  EXPECT_EQ(memory.calloc(SIZE_MAX / 2, 4, nullptr), nullptr);
  EXPECT_EQ(memory.malloc(SIZE_MAX - 4, nullptr), nullptr);
}

}  // namespace
}  // namespace weft::h2
