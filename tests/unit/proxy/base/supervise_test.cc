#include "userspace-proxy/base/supervise.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

namespace weft::base {
namespace {

// supervise() in a process of its own. What `work` says goes through a pipe, a byte a life.
struct SuperviseTest : testing::Test {
  SuperviseTest() { EXPECT_EQ(pipe(said.data()), 0); }
  ~SuperviseTest() override {
    close(said[0]);
    if (said[1] >= 0) close(said[1]);
  }
  void begin(const std::function<int()>& work) {
    parent = fork();
    if (parent == 0) {
      close(said[0]);
      _exit(supervise(work));
    }
    close(said[1]);
    said[1] = -1;
  }
  void say() const { EXPECT_EQ(write(said[1], "x", 1), 1); }
  bool hear() const {
    char byte = 0;
    return read(said[0], &byte, 1) == 1;
  }
  int ends() const {
    int status = 0;
    EXPECT_EQ(waitpid(parent, &status, 0), parent);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int lives() const {
    int count = 0;
    while (hear()) ++count;
    return count;
  }

  std::array<int, 2> said{-1, -1};
  pid_t parent = 0;
};

TEST_F(SuperviseTest, what_a_signal_ends_is_started_again_and_what_ends_by_itself_is_not) {
  std::array<int, 2> turns{};
  ASSERT_EQ(pipe(turns.data()), 0);
  ASSERT_EQ(write(turns[1], "kk.", 3), 3);
  begin([&] {
    say();
    char turn = 0;
    if (read(turns[0], &turn, 1) == 1 && turn == 'k') raise(SIGKILL);
    return 7;
  });
  EXPECT_EQ(lives(), 3);
  EXPECT_EQ(ends(), 7);
  for (const int fd : turns) close(fd);
}

TEST_F(SuperviseTest, each_child_has_the_name_that_the_process_had) {
  const auto name = [] {
    std::array<char, 16> text{};
    prctl(PR_GET_NAME, text.data());
    return std::string(text.data());
  };
  const std::string mine = name();
  std::array<int, 2> turns{};
  ASSERT_EQ(pipe(turns.data()), 0);
  ASSERT_EQ(write(turns[1], "k.", 2), 2);
  begin([&] {
    if (name() == mine) say();
    char turn = 0;
    if (read(turns[0], &turn, 1) == 1 && turn == 'k') raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(lives(), 2);
  EXPECT_EQ(ends(), 0);
  for (const int fd : turns) close(fd);
}

TEST_F(SuperviseTest, what_dies_again_and_again_is_left_to_whoever_started_it_all) {
  begin([&] {
    say();
    raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(lives(), kMostCrashes + 1);
  EXPECT_EQ(ends(), 128 + SIGKILL);
}

TEST_F(SuperviseTest, an_end_that_was_asked_for_is_passed_on_and_final) {
  begin([&] {
    signal(SIGTERM, SIG_DFL);
    say();
    pause();
    return 0;
  });
  ASSERT_TRUE(hear());
  kill(parent, SIGTERM);
  EXPECT_EQ(lives(), 0);
  EXPECT_EQ(ends(), 128 + SIGTERM);
}

TEST_F(SuperviseTest, the_child_dies_with_its_supervisor) {
  begin([&] {
    say();
    pause();
    return 0;
  });
  ASSERT_TRUE(hear());
  kill(parent, SIGKILL);
  EXPECT_EQ(ends(), -SIGKILL);
  EXPECT_FALSE(hear());  // the last writer of the pipe is gone
}

}  // namespace
}  // namespace weft::base
