// The agent's socket and the plugin's client, face to face.
#include "agent/cni/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "agent/cni_plugin/client.h"
#include "tests/support/scratch_dir.h"
#include "userspace-proxy/base/seqpacket.h"

namespace weft::cni {
namespace {

struct FakeHandler final : Handler {
  void on_add(const Request& sandbox, Reply reply) override {
    adds.push_back(sandbox);
    if (answer) return reply(*answer);
    kept.push_back(std::move(reply));
  }
  void on_check(const Request&, Reply reply) override {
    reply({.code = Code::kNotCaptured, .message = "no"});
  }
  void on_del(const Request&) override { ++dels; }
  std::optional<Answer> answer;  // empty: the reply is kept
  std::vector<Request> adds;
  std::vector<Reply> kept;
  int dels = 0;
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : loop_(*base::Loop::create(clock_)) {
    server_ = *Server::create(*loop_, handler_,
                              {.socket_path = path_, .limit = base::Millis(300), .max_connections = 2});
  }
  // Asks in another thread while the loop turns.
  base::Result<Answer> ask(Command command, base::Nanos limit = std::chrono::seconds(5)) {
    base::Result<Answer> answer;
    std::atomic<bool> done = false;
    std::thread caller([&] {
      answer = ask_agent(path_, request(command), limit);
      done = true;
    });
    while (!done) loop_->turn(10);
    caller.join();
    return answer;
  }
  static Request request(Command command) {
    return {.command = command,
            .container_id = "c",
            .netns = "/run/netns/x",
            .ns = "dev",
            .name = "web",
            .uid = "u"};
  }
  bool until(const std::function<bool()>& done) {
    for (int i = 0; i < 300 && !done(); ++i) loop_->turn(10);
    return done();
  }

  test::ScratchDir scratch_;
  const std::string path_ = scratch_ / "cni.sock";
  base::SystemClock clock_;
  std::unique_ptr<base::Loop> loop_;
  FakeHandler handler_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, each_command_gets_its_answer) {
  handler_.answer = Answer{.ok = true, .captured = true, .message = "a label"};
  EXPECT_EQ(ask(Command::kAdd), *handler_.answer);
  ASSERT_EQ(handler_.adds.size(), 1U);
  EXPECT_EQ(handler_.adds[0], request(Command::kAdd));
  EXPECT_EQ(ask(Command::kCheck)->code, Code::kNotCaptured);
  EXPECT_TRUE(ask(Command::kDel)->ok);
  EXPECT_EQ(handler_.dels, 1);
  EXPECT_EQ(server_->counters().answered, 3U);
}

TEST_F(ServerTest, an_answer_may_come_later) {
  std::atomic<bool> done = false;
  base::Result<Answer> answer;
  std::thread caller([&] {
    answer = ask_agent(path_, request(Command::kAdd));
    done = true;
  });
  ASSERT_TRUE(until([&] { return !handler_.kept.empty(); }));
  EXPECT_FALSE(done);
  handler_.kept[0]({.ok = true});
  EXPECT_TRUE(until([&] { return done.load(); }));
  caller.join();
  EXPECT_TRUE(answer->ok);
}

TEST_F(ServerTest, a_handler_that_never_answers_is_answered_for_and_may_still_try_later) {
  const auto answer = ask(Command::kAdd);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, Code::kTryAgainLater);
  EXPECT_EQ(server_->counters().timeouts, 1U);
  handler_.kept[0]({.ok = true});
  server_.reset();
  handler_.kept[0]({.ok = true});
}

TEST_F(ServerTest, what_is_no_request_is_answered_and_counted) {
  const base::Fd caller = *base::connect_seqpacket(path_);
  loop_->turn(10);
  ASSERT_EQ(send(caller.get(), "{}", 2, 0), 2);
  ASSERT_TRUE(until([&] { return server_->counters().malformed == 1; }));
  char buffer[1024];
  const ssize_t got = recv(caller.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  ASSERT_GT(got, 0);
  EXPECT_EQ(decode_answer({buffer, static_cast<size_t>(got)})->code, Code::kDecode);
}

TEST_F(ServerTest, who_says_nothing_or_too_much_is_let_go) {
  const base::Fd silent = *base::connect_seqpacket(path_);
  const base::Fd loud = *base::connect_seqpacket(path_);
  const std::string long_packet(kMaxPacketBytes + 1, 'x');
  ASSERT_GT(send(loud.get(), long_packet.data(), long_packet.size(), 0), 0);
  ASSERT_TRUE(until([&] { return server_->counters().accepted == 2; }));
  const base::Fd third = *base::connect_seqpacket(path_);
  char byte = 0;
  ASSERT_TRUE(until([&] { return recv(loud.get(), &byte, 1, MSG_DONTWAIT) == 0; }));
  ASSERT_TRUE(until([&] { return recv(silent.get(), &byte, 1, MSG_DONTWAIT) == 0; }));
}

TEST_F(ServerTest, who_is_not_root_is_refused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to be somebody else";
  ASSERT_EQ(chmod(scratch_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0) << "as if the mode protected nothing";
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    const auto answer = ask_agent(path_, request(Command::kDel), std::chrono::seconds(2));
    _exit(answer ? 1 : 0);
  }
  ASSERT_TRUE(until([&] { return server_->counters().refused == 1; }));
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(handler_.dels, 0);
}

TEST_F(ServerTest, no_agent_is_a_sentence_at_once_and_a_busy_one_within_the_deadline) {
  server_.reset();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(ask_agent(path_, request(Command::kAdd)));
  EXPECT_FALSE(ask_agent(scratch_ / "nobody", request(Command::kAdd)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  const base::Fd deaf = *base::listen_seqpacket(path_, 0600);
  const auto answer = ask_agent(path_, request(Command::kAdd), base::Millis(200));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, base::ErrorKind::kTimeout);
}

}  // namespace
}  // namespace weft::cni
