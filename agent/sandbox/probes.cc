#include "agent/sandbox/probes.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "agent/sandbox/files.h"

namespace weft::sandbox {
namespace {

bool wait_ready(int fd, short events, int timeout_ms) {
  pollfd waiting{fd, events, 0};
  return ::poll(&waiting, 1, timeout_ms) == 1;
}

// 200..399, as the kubelet counts it.
bool good_status(int fd, const std::string& request, int timeout_ms) {
  if (::write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) return false;
  std::string reply;
  while (reply.size() < 12) {
    char block[512];
    if (!wait_ready(fd, POLLIN, timeout_ms)) return false;
    const ssize_t got = ::read(fd, block, sizeof block);
    if (got <= 0) return false;
    reply.append(block, static_cast<size_t>(got));
  }
  const int code = std::atoi(reply.substr(9, 3).c_str());
  return reply.starts_with("HTTP/1.") && code >= 200 && code < 400;
}

bool attempt(const base::SocketAddress& target, const std::string& request, int timeout_ms) {
  sockaddr_storage address{};
  const socklen_t length = target.to_sockaddr(&address);
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 && errno != EINPROGRESS) return false;
  int error = 0;
  socklen_t size = sizeof error;
  if (!wait_ready(fd, POLLOUT, timeout_ms) || ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
      error != 0)
    return false;
  return request.empty() || good_status(fd, request, timeout_ms);
}

pid_t start_network_attempt(const base::SocketAddress& target, const std::string& request,
                            const ProbeOrigin& origin, int timeout_ms) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::signal(SIGTERM, SIG_DFL);
  (void)write_kernel_file(origin.cgroup + "/cgroup.procs", "0");  // sockets keep the cgroup they are made in
  const bool passed = enter_netns(origin.netns) && attempt(target, request, timeout_ms);
  ::_exit(passed ? 0 : 1);
}

pid_t start_exec_attempt(const Json& spec, Launch inside) {
  for (const Json& word : list_at(spec, "exec.command")) inside.argv.push_back(scalar_text(word));
  if (inside.argv.empty()) return -1;
  inside.detach = true;
  auto pid = start(inside);
  return pid ? *pid : -1;
}

uint16_t port_number(const Json& port, const Json& container) {
  if (port.is_number_integer()) return static_cast<uint16_t>(port.get<int64_t>());
  for (const Json& named : list_at(container, "ports"))
    if (text_at(named, "name") == scalar_text(port))
      return static_cast<uint16_t>(int_at(named, "containerPort"));
  return static_cast<uint16_t>(std::atoi(scalar_text(port).c_str()));
}

}  // namespace

base::SocketAddress probe_target(const Json& spec, const Json& container, const std::string& pod_ip) {
  const bool http = spec.contains("httpGet");
  const Json& action = at(spec, http ? "httpGet" : "tcpSocket");
  auto address = base::Address::parse(text_at(action, "host", pod_ip));
  return {address.value_or(base::Address{}), port_number(at(action, "port"), container)};
}

std::string probe_request(const Json& http_get, const base::SocketAddress& target) {
  std::string headers, host = target.to_string();
  for (const Json& header : list_at(http_get, "httpHeaders")) {
    const std::string name = text_at(header, "name"), value = text_at(header, "value");
    (name == "Host" ? host : headers) += name == "Host" ? "" : name + ": " + value + "\r\n";
    if (name == "Host") host = value;
  }
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-probe/weft\r\nConnection: close\r\n{}\r\n",
      text_at(http_get, "path", "/"), host, headers);
}

void Probe::tick(const Json& spec, const base::SocketAddress& target, const Launch& inside,
                 const ProbeOrigin& origin, base::Instant now) {
  const auto seconds = [&](const char* name, int64_t otherwise) {
    return std::chrono::seconds(std::max<int64_t>(0, int_at(spec, name, otherwise)));
  };
  if (next_ == base::Instant{}) next_ = now + seconds("initialDelaySeconds", 0);
  if (finished_) {
    finished_ = false;
    count(spec, passed_);
    const bool soon = eager_ && verdict_ != Verdict::kPassed;
    next_ = now + (soon ? base::Nanos(base::Millis(200)) : seconds("periodSeconds", 10));
  }
  if (pid_ > 0) {
    if (now >= deadline_) ::kill(pid_, SIGKILL);
    return;
  }
  if (now < next_) return;
  const auto timeout = std::max<std::chrono::seconds>(seconds("timeoutSeconds", 1), std::chrono::seconds(1));
  deadline_ = now + timeout;
  const bool http = spec.contains("httpGet");
  if (spec.contains("exec")) {
    pid_ = start_exec_attempt(spec, inside);
  } else {
    pid_ = start_network_attempt(target, http ? probe_request(at(spec, "httpGet"), target) : "", origin,
                                 static_cast<int>(std::chrono::milliseconds(timeout).count()));
  }
  if (pid_ > 0) return;
  pid_ = 0;
  finished_ = true;
  passed_ = false;
  next_ = now + base::Millis(200);
}

void Probe::count(const Json& spec, bool passed) {
  passes_ = passed ? passes_ + 1 : 0;
  failures_ = passed ? 0 : failures_ + 1;
  if (passes_ >= static_cast<uint32_t>(int_at(spec, "successThreshold", 1))) verdict_ = Verdict::kPassed;
  if (failures_ >= static_cast<uint32_t>(int_at(spec, "failureThreshold", 3))) verdict_ = Verdict::kFailed;
}

bool Probe::on_exit(pid_t pid, int status) {
  if (pid_ <= 0 || pid != pid_) return false;
  pid_ = 0;
  finished_ = true;
  passed_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return true;
}

void Probe::reset() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  *this = Probe(eager_);
}

}  // namespace weft::sandbox
