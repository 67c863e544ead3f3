// A TCP client and server for tests that says what it saw, one JSON line a connection.
//   probe connect HOST:PORT [--bytes N] [--mode echo|read|abort|hold|idle|steady] [--count N] [--seconds S] [--nonblock]
//                           [--fork] [--text T] [--every MS] [--spread MS]
//   probe serve PORT [--mode echo|banner|sink|reset|stall|late|deaf] [--seconds S]
// The client sends N patterned bytes, half-closes, reads to the end and checks that what comes back is what was sent.
// steady: says T every MS ms and waits for its echo; "timeout" is the end that it should come to. Each further connection
// of many begins `--spread` ms after the one before.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string target, mode = "echo", text = "still here";
  size_t bytes = 0;
  int count = 1, seconds = 20, every_ms = 100, spread_ms = 0;
  bool nonblock = false, fork_first = false;
};

// What one connection came to.
struct Outcome {
  std::string end = "eof";  // eof, reset, timeout, refused...: the name of the errno
  std::string local, peer;
  size_t sent = 0, received = 0;
  bool intact = true;
  long connect_us = 0;
  long slowest_ms = 0;  // steady: the longest wait for an echo
};

char pattern_at(size_t i) { return static_cast<char>((i * 2654435761u) >> 13); }

std::string name_of_errno(int error) {
  const char* name = strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

std::string text_of(const sockaddr_storage& address, socklen_t length) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  return address.ss_family == AF_INET6 ? "[" + std::string(host) + "]:" + port : std::string(host) + ":" + port;
}

void note_addresses(int fd, Outcome& outcome) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) outcome.local = text_of(address, length);
  length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) outcome.peer = text_of(address, length);
}

void print(const Outcome& o) {
  std::printf("{\"end\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",\"sent\":%zu,\"received\":%zu,\"intact\":%s,\"connect_us\":%ld}\n",
              o.end.c_str(), o.local.c_str(), o.peer.c_str(), o.sent, o.received, o.intact ? "true" : "false", o.connect_us);
  std::fflush(stdout);
}

// Waits for `events`; false when the time is up.
bool wait_for(int fd, short events, Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd p{.fd = fd, .events = events, .revents = 0};
  return left > 0 && poll(&p, 1, static_cast<int>(left)) > 0;
}

// Once for all connections: the name server is not what is tested.
addrinfo* resolve(const std::string& target) {
  const size_t colon = target.rfind(':');
  std::string host = target.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  return getaddrinfo(host.c_str(), target.substr(colon + 1).c_str(), &hints, &found) == 0 ? found : nullptr;
}

int connect_to(const addrinfo& target, Clock::time_point until, Outcome& outcome) {
  const int fd = socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto started = Clock::now();
  int error = connect(fd, target.ai_addr, target.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    error = ETIMEDOUT;
    if (wait_for(fd, POLLOUT, until)) {
      socklen_t length = sizeof error;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  outcome.connect_us = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started).count();
  if (error == 0) return fd;
  outcome.end = name_of_errno(error);
  close(fd);
  return -1;
}

// Sends and reads at once, so that an echo of any size cannot dead-lock.
void exchange(int fd, const Options& options, Clock::time_point until, Outcome& outcome) {
  std::vector<char> buffer(65536);
  bool open_for_writing = true;
  for (;;) {
    if (open_for_writing && outcome.sent == options.bytes) {
      shutdown(fd, SHUT_WR);
      open_for_writing = false;
    }
    if (!wait_for(fd, static_cast<short>(open_for_writing ? POLLIN | POLLOUT : POLLIN), until)) {
      outcome.end = "timeout";
      return;
    }
    if (open_for_writing) {
      const size_t n = std::min(buffer.size(), options.bytes - outcome.sent);
      for (size_t i = 0; i < n; ++i) buffer[i] = pattern_at(outcome.sent + i);
      const ssize_t done = send(fd, buffer.data(), n, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (done > 0) outcome.sent += static_cast<size_t>(done);
      if (done < 0 && errno != EAGAIN) {
        // Said here and not by the read below: the kernel reports a reset once.
        outcome.end = name_of_errno(errno);
        return;
      }
    }
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got == 0) return;
    if (got < 0 && errno == EAGAIN) continue;
    if (got < 0) {
      outcome.end = name_of_errno(errno);
      return;
    }
    for (ssize_t i = 0; i < got && options.mode == "echo"; ++i)
      outcome.intact &= buffer[static_cast<size_t>(i)] == pattern_at(outcome.received + static_cast<size_t>(i));
    outcome.received += static_cast<size_t>(got);
  }
}

// One echo of `text`; false: outcome.end says why there is none.
bool say(int fd, const std::string& text, Clock::time_point until, Outcome& outcome) {
  const auto started = Clock::now();
  if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    outcome.end = name_of_errno(errno);
    return false;
  }
  outcome.sent += text.size();
  std::string heard(text.size(), '\0');
  for (size_t got = 0; got < heard.size();) {
    if (!wait_for(fd, POLLIN, until + std::chrono::seconds(5))) {
      outcome.end = "silent";
      return false;
    }
    const ssize_t n = recv(fd, heard.data() + got, heard.size() - got, MSG_DONTWAIT);
    if (n <= 0) {
      outcome.end = n == 0 ? "ended" : name_of_errno(errno);
      return false;
    }
    got += static_cast<size_t>(n);
  }
  outcome.received += heard.size();
  outcome.intact &= heard == text;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started).count();
  outcome.slowest_ms = std::max<long>(outcome.slowest_ms, took);
  return true;
}

void speak(int fd, const Options& options, Clock::time_point until, Outcome& outcome) {
  while (say(fd, options.text, until, outcome)) {
    const auto next = Clock::now() + std::chrono::milliseconds(options.every_ms);
    if (next >= until) {
      outcome.end = outcome.intact ? "timeout" : "garbled";
      return;
    }
    std::this_thread::sleep_until(next);
  }
}

void abort_connection(int fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
}

Outcome run_client(const Options& options, const addrinfo& target) {
  Outcome outcome;
  const auto until = Clock::now() + std::chrono::seconds(options.seconds);
  const int fd = connect_to(target, until, outcome);
  if (fd < 0) return outcome;
  note_addresses(fd, outcome);
  if (options.mode == "abort") {
    std::string bytes(options.bytes, 'x');
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    outcome.sent = n > 0 ? static_cast<size_t>(n) : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    abort_connection(fd);
    return outcome;
  }
  if (options.mode == "idle") {
    // Stays connected and silent until the time is up or the peer ends it.
    outcome.end = wait_for(fd, POLLIN, until) ? "ended" : "timeout";
    close(fd);
    return outcome;
  }
  if (options.mode == "steady") {
    speak(fd, options, until, outcome);
    close(fd);
    return outcome;
  }
  exchange(fd, options, until, outcome);
  if (options.mode == "echo") outcome.intact &= outcome.received == options.bytes;
  close(fd);
  return outcome;
}

int connect_main(const Options& options) {
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(static_cast<size_t>(options.count));
  addrinfo* target = resolve(options.target);
  if (target == nullptr) {
    outcomes[0].end = "unresolved";
    print(outcomes[0]);
    return 1;
  }
  for (auto& outcome : outcomes) {
    threads.emplace_back([&outcome, &options, target] { outcome = run_client(options, *target); });
    if (options.spread_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(options.spread_ms));
  }
  for (auto& thread : threads) thread.join();
  freeaddrinfo(target);
  if (options.count == 1) {
    print(outcomes[0]);
    return outcomes[0].end == "eof" && outcomes[0].intact ? 0 : 1;
  }
  std::map<std::string, int> ends;
  int good = 0;
  long slowest_ms = 0;
  for (const auto& o : outcomes) {
    slowest_ms = std::max(slowest_ms, o.slowest_ms);
    ++ends[o.end];
    good += o.end == "eof" && o.intact ? 1 : 0;
  }
  std::printf("{\"good\":%d,\"of\":%d", good, options.count);
  if (options.mode == "steady") std::printf(",\"slowest_ms\":%ld", slowest_ms);
  for (const auto& [end, n] : ends) std::printf(",\"%s\":%d", end.c_str(), n);
  std::printf("}\n");
  return good == options.count ? 0 : 1;
}

void serve_one(int fd, const Options& options) {
  Outcome outcome;
  note_addresses(fd, outcome);
  std::vector<char> buffer(65536);
  if (options.mode == "banner") {
    const std::string banner = "220 ready\r\n";
    outcome.sent += static_cast<size_t>(std::max<ssize_t>(0, send(fd, banner.data(), banner.size(), MSG_NOSIGNAL)));
  }
  // A reader that begins late: the writer must be stopped by back-pressure, not by memory.
  if (options.mode == "late") std::this_thread::sleep_for(std::chrono::seconds(options.seconds));
  if (options.mode == "stall") std::this_thread::sleep_for(std::chrono::hours(1));
  for (;;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) outcome.end = name_of_errno(errno);
    if (got <= 0) break;
    outcome.received += static_cast<size_t>(got);
    if (options.mode == "reset") {
      abort_connection(fd);
      print(outcome);
      return;
    }
    if (options.mode == "sink") continue;
    for (ssize_t done = 0; done < got;) {
      const ssize_t n = send(fd, buffer.data() + done, static_cast<size_t>(got - done), MSG_NOSIGNAL);
      if (n <= 0) break;
      done += n;
      outcome.sent += static_cast<size_t>(n);
    }
  }
  close(fd);
  print(outcome);
}

int serve_main(const Options& options) {
  const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1, off = 0;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<uint16_t>(std::atoi(options.target.c_str())));
  const bool deaf = options.mode == "deaf";  // accepts nobody: the kernel answers the first one and none after it
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, deaf ? 0 : 4096) != 0) {
    std::perror("probe serve");
    return 1;
  }
  for (;;) {
    if (deaf) pause();
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    std::thread([fd, options] { serve_one(fd, options); }).detach();
  }
}

int usage() {
  std::fprintf(stderr, "usage: probe connect HOST:PORT|serve PORT [--mode M] [--bytes N] [--count N] [--seconds S] [--fork]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc < 3) return usage();
  Options options;
  options.target = argv[2];
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--fork") {
      options.fork_first = true;
    } else if (i + 1 >= argc) {
      return usage();
    } else if (word == "--mode") {
      options.mode = argv[++i];
    } else if (word == "--bytes") {
      options.bytes = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--count") {
      options.count = std::atoi(argv[++i]);
    } else if (word == "--text") {
      options.text = argv[++i];
    } else if (word == "--every") {
      options.every_ms = std::atoi(argv[++i]);
    } else if (word == "--spread") {
      options.spread_ms = std::atoi(argv[++i]);
    } else if (word == "--seconds") {
      options.seconds = std::atoi(argv[++i]);
    } else {
      return usage();
    }
  }
  if (options.fork_first) {
    const pid_t child = fork();
    int status = 0;
    if (child != 0) return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  if (std::string(argv[1]) == "connect") return connect_main(options);
  if (std::string(argv[1]) == "serve") return serve_main(options);
  return usage();
}
