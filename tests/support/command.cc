#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <thread>

namespace weft::test {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void become(const std::vector<std::string>& words, int out, int err) {
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

// Reads both pipes to their ends; false when the time was up.
bool collect(std::array<pollfd, 2> pipes, Answer& answer, Clock::time_point until) {
  std::array<std::string*, 2> texts = {&answer.out, &answer.err};
  std::array<char, 4096> chunk;
  while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0 || poll(pipes.data(), pipes.size(), static_cast<int>(left)) <= 0) return false;
    for (size_t i = 0; i < pipes.size(); ++i) {
      if (pipes[i].fd < 0 || pipes[i].revents == 0) continue;
      const ssize_t n = read(pipes[i].fd, chunk.data(), chunk.size());
      if (n > 0) texts[i]->append(chunk.data(), static_cast<size_t>(n));
      if (n == 0) pipes[i].fd = -1;
    }
  }
  return true;
}

}  // namespace

Answer run(const std::vector<std::string>& words, std::chrono::seconds limit) {
  Answer answer;
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return answer;
  const pid_t child = fork();
  if (child == 0) become(words, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  const bool done = collect({pollfd{out[0], POLLIN, 0}, pollfd{err[0], POLLIN, 0}}, answer, Clock::now() + limit);
  if (!done) {
    kill(-child, SIGKILL);
    answer.err += "\n[ended after " + std::to_string(limit.count()) + " s]";
  }
  int status = 0;
  waitpid(child, &status, 0);
  close(out[0]);
  close(err[0]);
  answer.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return answer;
}

Background::Background(const std::vector<std::string>& words, std::string log) : log_(std::move(log)) {
  const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    become(words, out, out);
  }
  setpgid(pid_, pid_);  // so does the child; signal() must not come before either
  close(out);
}

Background::~Background() {
  if (pid_ < 0) return;
  signal(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Background::signal(int number) const {
  if (pid_ > 0) kill(-pid_, number);
}

bool Background::running() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

std::string Background::said() const {
  std::ifstream file(log_);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto until = Clock::now() + limit;
  for (;;) {
    if (condition()) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace weft::test
