#include "agent/ctl/completion.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/command.h"
#include "tests/support/scratch_dir.h"

namespace weft::ctl {
namespace {

CommandTree small_tree() {
  return {"weftctl",
          "the command line",
          {"--help", "-h"},
          {{"manifest", "objects of an installation", {"--help"}, {{"apply", "it's applied", {"--set"}, {}},
                                                                   {"generate", "printed", {"--set"}, {}}}},
           {"version", "of all parts", {"--client"}, {}}}};
}

std::string complete_in_bash(const std::string& words, int at) {
  const test::ScratchDir dir;
  const std::string file = dir / "completion.bash";
  std::ofstream(file) << *completion_script(small_tree(), "bash");
  const std::string script = "set -eu; source " + file + "; COMP_WORDS=(" + words +
                             "); COMP_CWORD=" + std::to_string(at) + "; _weftctl_complete; echo \"${COMPREPLY[*]-}\"";
  const auto answer = test::run({"bash", "-c", script});
  EXPECT_TRUE(answer.ok()) << answer.err;
  return answer.out;
}

TEST(Completion, bash_offers_the_commands_below_what_was_typed) {
  EXPECT_EQ(complete_in_bash("weftctl ''", 1), "manifest version --help -h\n");
  EXPECT_EQ(complete_in_bash("weftctl man", 1), "manifest\n");
  EXPECT_EQ(complete_in_bash("weftctl manifest ''", 2), "apply generate --help\n");
  EXPECT_EQ(complete_in_bash("weftctl manifest apply --s", 3), "--set\n");
}

TEST(Completion, a_value_is_not_taken_for_a_command_of_another_place) {
  EXPECT_EQ(complete_in_bash("weftctl manifest apply --set version --s", 5), "--set\n");
}

TEST(Completion, every_shell_gets_every_command_and_another_shell_is_refused) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(small_tree(), shell);
    ASSERT_TRUE(script);
    for (const char* word : {"manifest", "generate", "apply", "version"})
      EXPECT_NE(script->find(word), std::string::npos) << shell << " " << word;
    EXPECT_EQ(script->find("it's"), std::string::npos) << "quotes of a help text would end the script's own";
  }
  EXPECT_FALSE(completion_script(small_tree(), "csh"));
}

}  // namespace
}  // namespace weft::ctl
