// weft-cni: the CNI plugin. Asks the node's agent to capture a new pod before anything of it runs. A static
// program of its own, since it runs in the node's file system and not in an image.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/cni_plugin/client.h"
#include "agent/cni_plugin/plugin.h"

using namespace weft;

namespace {

constexpr size_t kMaxEnvironment = 4096;
// A pod's end waits for no agent.
constexpr base::Nanos kDelLimit = std::chrono::seconds(1);
// The last resort: whatever hangs, a runtime that set no deadline of its own gets its plugin back.
constexpr unsigned kLifetimeSeconds = 30;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : std::string(value).substr(0, kMaxEnvironment);
}

// At most one byte more than may be: the parser refuses it then.
std::string read_input() {
  std::string out;
  while (out.size() <= cni::kMaxJsonBytes) {
    char block[4096];
    const ssize_t got = read(STDIN_FILENO, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    out.append(block, static_cast<size_t>(got));
  }
  return out;
}

void write_all(int fd, std::string text) {
  if (text.empty()) return;
  text += '\n';
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t sent = write(fd, text.data() + done, text.size() - done);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    done += static_cast<size_t>(sent);
  }
}

}  // namespace

int main() {
  alarm(kLifetimeSeconds);
  const cni::Environment environment{.command = variable("CNI_COMMAND"),
                                     .container_id = variable("CNI_CONTAINERID"),
                                     .netns = variable("CNI_NETNS"),
                                     .interface = variable("CNI_IFNAME"),
                                     .args = variable("CNI_ARGS")};
  if (environment.command.empty()) {
    write_all(STDERR_FILENO, "weft-cni is a CNI plugin: a container runtime calls it, with CNI_COMMAND set");
    return 1;
  }
  const auto ask = [](const std::string& socket, const cni::Request& request) {
    return cni::ask_agent(socket, request,
                          request.command == cni::Command::kDel ? kDelLimit : cni::kAskLimit);
  };
  const cni::Outcome outcome = cni::run_plugin(environment, read_input(), ask);
  write_all(STDOUT_FILENO, outcome.out);
  write_all(STDERR_FILENO, outcome.note);
  return outcome.exit_code;
}
