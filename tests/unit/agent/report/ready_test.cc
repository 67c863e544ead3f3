#include "agent/report/ready.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>

#include "agent/report/report.h"
#include "tests/support/scratch_dir.h"

namespace weft::agent {
namespace {

constexpr int kReady = 0, kNotReady = 1, kUnknown = 2;

Report report(std::vector<std::string> waiting_for = {}) {
  Report out;
  out.role = "node";
  out.writer = "node1";
  out.ready = waiting_for.empty();
  out.waiting_for = std::move(waiting_for);
  return out;
}

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What an agent has written that has ended since.
void write_and_die(const std::string& directory, const std::string& writer) {
  const pid_t child = fork();
  if (child == 0) {
    ReportWriter reports(directory, writer);
    _exit(reports.write(report()) ? 0 : 1);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

class IsReady : public testing::Test {
 protected:
  // The exit code; what was printed is in said_.
  int ask(const std::string& path) {
    testing::internal::CaptureStdout();
    const int code = run_is_ready(path);
    said_ = testing::internal::GetCapturedStdout();
    return code;
  }
  const test::ScratchDir directory_;
  const std::string file_ = directory_ / "Agent.node1.json";
  std::string said_;
};

TEST_F(IsReady, an_agent_that_says_so_and_lives_is_ready) {
  ReportWriter reports(directory_.path(), "node1");
  ASSERT_TRUE(reports.write(report()));
  EXPECT_EQ(ask(directory_.path()), kReady);
  EXPECT_EQ(said_, "");
  EXPECT_EQ(ask(file_), kReady);
}

TEST_F(IsReady, what_it_waits_for_is_said) {
  ReportWriter reports(directory_.path(), "node1");
  ASSERT_TRUE(reports.write(report({"a proxy", "a certificate"})));
  EXPECT_EQ(ask(directory_.path()), kNotReady);
  EXPECT_EQ(said_, "waiting for a proxy\nwaiting for a certificate\n");
}

TEST_F(IsReady, what_a_process_said_that_has_ended_is_not_believed) {
  write_and_die(directory_.path(), "node1");
  ASSERT_NE(text_of(file_).find("\"ready\": true"), std::string::npos) << text_of(file_);
  EXPECT_EQ(ask(file_), kNotReady);
  EXPECT_EQ(said_, "waiting for the agent: " + file_ + " is of a process that has ended\n");
}

TEST_F(IsReady, another_process_under_the_same_number_is_another) {
  ReportWriter reports(directory_.path(), "node1");
  ASSERT_TRUE(reports.write(report()));
  std::string text = text_of(file_);
  const std::string key = "\"startTicks\": ";
  ASSERT_NE(text.find(key), std::string::npos) << text;
  std::ofstream(file_) << text.insert(text.find(key) + key.size(), "1");
  EXPECT_EQ(ask(file_), kNotReady);
}

TEST_F(IsReady, a_report_that_does_not_say_whose_it_is_is_not_believed) {
  std::ofstream(file_) << R"({"kind": "Agent", "ready": true, "waitingFor": []})";
  EXPECT_EQ(ask(file_), kNotReady);
}

TEST_F(IsReady, of_several_agents_the_one_that_is_not_counts) {
  ReportWriter reports(directory_.path(), "node1");
  ASSERT_TRUE(reports.write(report()));
  write_and_die(directory_.path(), "node2");
  EXPECT_EQ(ask(directory_.path()), kNotReady);
  EXPECT_EQ(ask(file_), kReady);
}

TEST_F(IsReady, no_report_and_none_that_can_be_read_are_told_from_not_ready) {
  EXPECT_EQ(ask(directory_.path()), kUnknown);
  EXPECT_EQ(said_, "no report in " + directory_.path() + " yet\n");
  EXPECT_EQ(ask(file_), kUnknown);
  EXPECT_EQ(ask(directory_ / "nowhere"), kUnknown);
  std::ofstream(file_) << "{";
  EXPECT_EQ(ask(directory_.path()), kUnknown);
  EXPECT_NE(said_.find(file_), std::string::npos) << said_;
}

TEST_F(IsReady, files_of_others_and_half_written_ones_are_no_reports) {
  std::ofstream(directory_ / "Agent.node1.json.tmp") << R"({"ready": true})";
  std::ofstream(directory_ / "VirtualService.dev.a.node1.json") << R"({"ready": true})";
  EXPECT_EQ(ask(directory_.path()), kUnknown);
}

TEST(ReportWriter, an_agent_that_starts_takes_back_what_the_one_before_it_said) {
  const test::ScratchDir directory;
  write_and_die(directory.path(), "node1");
  write_and_die(directory.path(), "node2");
  const ReportWriter reports(directory.path(), "node1");
  EXPECT_FALSE(std::filesystem::exists(directory / "Agent.node1.json"));
  EXPECT_TRUE(std::filesystem::exists(directory / "Agent.node2.json"));
}

TEST(ReportWriter, what_has_not_changed_is_not_written_again) {
  const test::ScratchDir directory;
  ReportWriter reports(directory.path(), "node1");
  const auto inode = [&] {
    struct stat file {};
    return stat((directory / "Agent.node1.json").c_str(), &file) == 0 ? file.st_ino : 0;
  };
  ASSERT_TRUE(reports.write(report()));
  const auto first = inode();
  ASSERT_TRUE(reports.write(report()));
  EXPECT_EQ(inode(), first);
  ASSERT_TRUE(reports.write(report({"a proxy"})));
  EXPECT_NE(inode(), first);
  EXPECT_NE(text_of(directory / "Agent.node1.json").find("a proxy"), std::string::npos);
}

TEST(ReportWriter, a_directory_that_is_not_there_is_an_error_and_none_at_all_is_not) {
  ReportWriter nowhere("/nonexistent/weft", "node1");
  EXPECT_FALSE(nowhere.write(report()));
  ReportWriter silent("", "node1");
  EXPECT_TRUE(silent.write(report()));
}

}  // namespace
}  // namespace weft::agent
