#include "userspace-proxy/observe/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <csignal>

#include <thread>
#include <vector>

#include "tests/support/fake_clock.h"
#include "userspace-proxy/observe/log_writer.h"

namespace weft::observe {
namespace {

struct Sink final : LogSink {
  bool take(std::string chunk) override {
    if (full) return false;
    chunks.push_back(std::move(chunk));
    return true;
  }
  std::vector<std::string> chunks;
  bool full = false;
};

struct AccessLogTest : testing::Test {
  test::FakeClock clock;
  base::TimerWheel timers{clock};
  Sink sink;
  Counters counters;
  AccessLog log{timers, sink, counters};
};

TEST_F(AccessLogTest, writes_nothing_until_it_is_switched_on) {
  log.write(ConnRecord{});
  log.flush();
  EXPECT_TRUE(sink.chunks.empty());
  log.enable(true);
  log.write(ConnRecord{});
  log.flush();
  EXPECT_EQ(sink.chunks.size(), 1u);
}

TEST_F(AccessLogTest, lines_leave_together_after_a_tenth_of_a_second) {
  log.enable(true);
  for (int i = 0; i < 3; ++i) log.write(ConnRecord{});
  EXPECT_TRUE(sink.chunks.empty());
  clock.advance(AccessLog::kFlushAfter + base::TimerWheel::kTick);
  timers.advance();
  ASSERT_EQ(sink.chunks.size(), 1u);
  EXPECT_EQ(std::ranges::count(sink.chunks[0], '\n'), 3);
}

TEST_F(AccessLogTest, a_full_buffer_leaves_at_once) {
  log.enable(true);
  while (sink.chunks.empty()) log.write(ConnRecord{});
  EXPECT_GE(sink.chunks[0].size(), AccessLog::kChunk);
  EXPECT_LT(sink.chunks[0].size(), AccessLog::kChunk + 1024);
}

TEST_F(AccessLogTest, lines_that_find_no_room_are_counted) {
  log.enable(true);
  sink.full = true;
  for (int i = 0; i < 5; ++i) log.write(ConnRecord{});
  log.flush();
  EXPECT_EQ(counters.access_log_dropped, 5u);
}

TEST_F(AccessLogTest, switching_off_keeps_what_was_written_before) {
  log.enable(true);
  log.write(ConnRecord{});
  log.enable(false);
  log.write(ConnRecord{});
  log.flush();
  ASSERT_EQ(sink.chunks.size(), 1u);
  EXPECT_EQ(std::ranges::count(sink.chunks[0], '\n'), 1);
}

struct Pipe {
  base::Fd reader, writer;
};

Pipe open_pipe() {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  return {base::Fd(ends[0]), base::Fd(ends[1])};
}

TEST(LogWriterTest, writes_what_it_took_before_it_ends) {
  Pipe pipe = open_pipe();
  {
    LogWriter writer(std::move(pipe.writer));
    EXPECT_TRUE(writer.take("one\n"));
    EXPECT_TRUE(writer.take("two\n"));
  }
  char block[64] = {};
  std::string all;
  for (ssize_t n; (n = read(pipe.reader.get(), block, sizeof block)) > 0;)
    all.append(block, static_cast<size_t>(n));
  EXPECT_EQ(all, "one\ntwo\n");
}

TEST(LogWriterTest, refuses_more_than_its_bound_while_nobody_reads_and_never_blocks_the_caller) {
  Pipe pipe = open_pipe();
  LogWriter writer(std::move(pipe.writer));
  size_t taken = 0;
  while (writer.take(std::string(1 << 20, 'x'))) ++taken;
  EXPECT_GE(taken, 3u);
  EXPECT_LE(taken, 8u);
  ::signal(SIGPIPE, SIG_IGN);  // as main does
  pipe.reader.reset();  // lets the writer's thread go
}

}  // namespace
}  // namespace weft::observe
