#include "userspace-proxy/base/watchdog.h"

#include <gtest/gtest.h>

#include <future>

#include "userspace-proxy/base/loop.h"

namespace weft::base {
namespace {

using std::chrono::seconds;

struct WatchdogTest : testing::Test {
  ~WatchdogTest() override {
    watchdog.stop();
    loop->stop();
    if (runner.joinable()) runner.join();
  }
  void run() {
    runner = std::thread([this] { loop->run(); });
  }
  // Nothing runs in the loop until the returned one is set.
  std::promise<void> hang() {
    std::promise<void> release;
    auto released = std::make_shared<std::shared_future<void>>(release.get_future());
    loop->post([released] { released->wait(); });
    return release;
  }

  SystemClock clock;
  std::unique_ptr<Loop> loop = *Loop::create(clock);
  std::thread runner;
  std::promise<std::string> hung;
  std::future<std::string> told = hung.get_future();
  Watchdog watchdog{[this](const std::string& name) { hung.set_value(name); }, {.tick = Millis(10), .misses = 100}};
};

TEST_F(WatchdogTest, a_loop_that_turns_is_left_alone) {
  run();
  watchdog.watch("control", *loop);
  watchdog.start();
  EXPECT_EQ(told.wait_for(Millis(300)), std::future_status::timeout);
}

TEST_F(WatchdogTest, a_loop_that_hangs_is_named_once) {
  run();
  watchdog.watch("control", *loop);
  auto release = hang();
  watchdog.start();
  ASSERT_EQ(told.wait_for(seconds(10)), std::future_status::ready);
  EXPECT_EQ(told.get(), "control");
  std::this_thread::sleep_for(Millis(200));  // a second word would throw: a promise is kept once
  release.set_value();
}

TEST_F(WatchdogTest, a_loop_that_was_slow_and_goes_on_is_forgiven) {
  run();
  watchdog.watch("control", *loop);
  watchdog.start();
  for (int i = 0; i < 10; ++i) {
    auto release = hang();
    std::this_thread::sleep_for(Millis(20));
    release.set_value();
    std::promise<void> through;
    loop->post([&] { through.set_value(); });
    through.get_future().wait();
  }
  EXPECT_EQ(told.wait_for(Millis(0)), std::future_status::timeout);
}

using WatchdogDeathTest = WatchdogTest;

TEST_F(WatchdogDeathTest, by_default_the_process_ends_with_an_abort) {
  EXPECT_EXIT(Watchdog::die("control"), testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace weft::base
