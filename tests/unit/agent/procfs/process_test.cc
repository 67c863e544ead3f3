#include "agent/procfs/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_dir.h"

namespace weft::procfs {
namespace {

TEST(FindProcess, a_process_is_the_same_each_time_it_is_looked_at) {
  const auto first = find_process(getpid());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->pid, getpid());
  EXPECT_GT(first->started, 0u);
  EXPECT_EQ(find_process(getpid()), first);
}

TEST(FindProcess, one_that_has_ended_is_gone_though_nobody_has_waited_for_it) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_GT(child, 0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(find_process(child), std::nullopt);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(find_process(child), std::nullopt);
}

TEST(FindProcess, a_name_with_brackets_and_spaces_does_not_shift_the_fields) {
  const test::ScratchDir proc;
  std::filesystem::create_directory(proc / "7");
  std::ofstream(proc / "7/stat")
      << "7 (a) Z (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 100 200\n";
  EXPECT_EQ(find_process(7, proc.path()), (ProcessKey{7, 4711}));
}

TEST(FindProcess, a_line_that_ends_early_is_nobody) {
  const test::ScratchDir proc;
  std::filesystem::create_directory(proc / "7");
  for (const char* text : {"", "7", "7 (a)", "7 (a) ", "7 (a) S", "7 (a) S 1 7 7 0"}) {
    std::ofstream(proc / "7/stat") << text;
    EXPECT_EQ(find_process(7, proc.path()), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace weft::procfs
