#include "userspace-proxy/worker/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace weft::worker {
namespace {

base::Result<Options> parse(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  return parse_options(arguments);
}

TEST(OptionsTest, without_flags_the_promised_ports_are_used) {
  const auto options = parse({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->metrics_address.to_string(), "0.0.0.0:15020");
  EXPECT_EQ(options->ready_address.to_string(), "0.0.0.0:15021");
  EXPECT_EQ(options->admin_address.to_string(), "127.0.0.1:15000");
  EXPECT_EQ(options->user, "nobody");
}

TEST(OptionsTest, values_come_after_a_space_or_an_equals_sign) {
  const auto options =
      parse({"--workers", "3", "--metrics-address=[::1]:9", "--drain=5", "--drain-accept", "2", "--seccomp", "log"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->workers, 3u);
  EXPECT_EQ(options->metrics_address.to_string(), "[::1]:9");
  EXPECT_EQ(options->drain.limit, base::Millis(5000));
  EXPECT_EQ(options->drain.accept, base::Millis(2000));
  EXPECT_EQ(options->seccomp, Seccomp::kLog);
}

TEST(OptionsTest, a_wrong_flag_is_named_with_what_was_expected) {
  EXPECT_EQ(parse({"--wrokers", "3"}).error().what, "unknown flag --wrokers");
  EXPECT_EQ(parse({"--workers", "many"}).error().what, "--workers: 'many' is not a number from 0 to 1024");
  EXPECT_EQ(parse({"--workers"}).error().what, "--workers wants a value");
  EXPECT_EQ(parse({"--seccomp=maybe"}).error().what, "--seccomp: 'maybe' is none of kill, log, off");
  EXPECT_FALSE(parse({"--metrics-address", "15020"}));
}

TEST(OptionsTest, help_lists_every_flag) {
  EXPECT_TRUE(parse({"--help"})->help);
  for (const char* flag : {"--agent-socket", "--workers", "--user", "--drain", "--seccomp", "--access-log"})
    EXPECT_NE(usage().find(flag), std::string::npos) << flag;
}

}  // namespace
}  // namespace weft::worker
