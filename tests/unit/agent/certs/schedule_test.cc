#include "agent/certs/schedule.h"

#include <gtest/gtest.h>

namespace weft::certs {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const base::WallTime kNow{hours(480'000)};

TEST(Pause, begins_at_a_second_and_doubles_up_to_150_seconds) {
  EXPECT_EQ(pause_after(0, 0.5), base::Nanos(seconds(1)));
  EXPECT_EQ(pause_after(1, 0.5), base::Nanos(seconds(2)));
  EXPECT_EQ(pause_after(6, 0.5), base::Nanos(seconds(64)));
  EXPECT_EQ(pause_after(7, 0.5), base::Nanos(seconds(128)));
  EXPECT_EQ(pause_after(8, 0.5), base::Nanos(seconds(150)));
  EXPECT_EQ(pause_after(4'000'000'000u, 0.5), base::Nanos(seconds(150)));
}

TEST(Pause, varies_by_a_fifth_and_never_above_its_longest) {
  EXPECT_EQ(pause_after(0, 0.0), base::Nanos(base::Millis(800)));
  EXPECT_LE(pause_after(0, 0.999), base::Nanos(base::Millis(1200)));
  EXPECT_GT(pause_after(0, 0.999), base::Nanos(base::Millis(1190)));
  EXPECT_EQ(pause_after(20, 0.999), base::Nanos(seconds(150)));
}

TEST(Renewal, is_at_half_of_the_validity_give_or_take_a_tenth) {
  const auto begin = kNow - minutes(2), end = begin + hours(24);
  EXPECT_EQ(renewal_time(begin, end, kNow, 0.5), begin + hours(12));
  EXPECT_EQ(renewal_time(begin, end, kNow, 0.0), begin + minutes(648));
  EXPECT_GT(renewal_time(begin, end, kNow, 0.99), begin + minutes(788));
  EXPECT_LT(renewal_time(begin, end, kNow, 0.99), begin + minutes(792));
}

TEST(Renewal, of_a_short_certificate_that_is_dated_back_is_not_at_once) {
  const auto begin = kNow - minutes(2), end = kNow + minutes(2);
  EXPECT_EQ(renewal_time(begin, end, kNow, 0.0), kNow + seconds(40));
}

TEST(Alarm, is_in_the_last_fifth_of_the_life) {
  EXPECT_EQ(alarm_time(kNow, kNow + hours(10)), kNow + hours(8));
}

}  // namespace
}  // namespace weft::certs
