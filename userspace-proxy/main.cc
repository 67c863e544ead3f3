// weft-proxy: builds every part by hand, gives up its rights, runs until SIGTERM.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <ctime>

#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/supervise.h"
#include "userspace-proxy/worker/admin.h"
#include "userspace-proxy/worker/confine.h"
#include "userspace-proxy/worker/fleet.h"
#include "userspace-proxy/worker/options.h"

namespace weft {
namespace {

constexpr const char* kVersion = "0.1.0";
// A relayed connection takes two descriptors; listeners, stock and the rest need room too.
constexpr size_t kDescriptorsPerConnection = 3;

// Turns SIGTERM and SIGINT into a graceful end. Lives in the main loop.
class Signals final : private base::IoHandler {
 public:
  Signals(base::Loop& loop, std::function<void()> on_end) : loop_(loop), on_end_(std::move(on_end)) {}
  ~Signals() override { loop_.remove(fd_.get(), this); }

  // Before any thread is started, so that all of them leave these signals alone.
  base::Status start() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    fd_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) return base::fail_errno("signalfd");
    return loop_.add(fd_.get(), EPOLLIN, this);
  }

 private:
  void on_io(uint32_t) override {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) == sizeof info) on_end_();
  }

  base::Loop& loop_;
  std::function<void()> on_end_;
  base::Fd fd_;
};

base::Result<base::Fd> open_access_log(const std::string& path) {
  base::Fd out(path == "-" ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                           : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!out) return base::fail_errno("access log " + path);
  return out;
}

base::Status run(const worker::Options& options) {
  const base::SystemClock clock;
  TRY_ASSIGN(const size_t descriptors, worker::raise_descriptor_limit());
  const uint32_t workers =
      options.workers != 0 ? options.workers : std::max(1U, std::thread::hardware_concurrency());
  const size_t most = descriptors / kDescriptorsPerConnection / workers;

  TRY_ASSIGN(auto loop, base::Loop::create(clock));
  TRY_ASSIGN(auto log_file, open_access_log(options.access_log));
  TRY_ASSIGN(auto admin, worker::Admin::bind(
                             clock, {options.metrics_address, options.ready_address, options.admin_address}));

  std::unique_ptr<observe::LogWriter> log;  // outlives the workers that write to it
  std::unique_ptr<worker::Fleet> fleet;
  const auto end = [&] {
    spdlog::info("draining");
    fleet->drain(options.drain);
  };
  Signals signals(*loop, end);
  TRY(signals.start());
  TRY(worker::drop_privileges(options.user));
  // Both read files, which is forbidden from here on.
  tzset();
  TRY(worker::prepare_tls());
  TRY(worker::confine_system_calls(options.seccomp));

  log = std::make_unique<observe::LogWriter>(std::move(log_file));
  TRY_ASSIGN(fleet, worker::Fleet::create(
                        *loop, clock, *log,
                        {.workers = workers,
                         .agent_socket = options.agent_socket,
                         .version = kVersion,
                         .max_connections = options.max_connections != 0 ? options.max_connections : most}));
  fleet->start();
  TRY(admin->start(*fleet, [&] { loop->post(end); }));
  spdlog::info("weft-proxy {}: {} workers, metrics on {}", kVersion, workers,
               options.metrics_address.to_string());
  loop->run();
  admin.reset();
  fleet.reset();
  spdlog::info("ended");
  return {};
}

int serve(const worker::Options& options) {
  base::init_log("weft-proxy", options.log_level);
  const auto ended = run(options);
  if (ended) return 0;
  std::fprintf(stderr, "weft-proxy: %s\n", base::describe(ended.error()).c_str());
  return 1;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  const auto options = weft::worker::parse_options({argv + 1, static_cast<size_t>(argc - 1)});
  if (!options) {
    std::fprintf(stderr, "weft-proxy: %s\n", options.error().what.c_str());
    return 2;
  }
  if (options->help) {
    std::fputs(weft::worker::usage().c_str(), stdout);
    return 0;
  }
  return options->supervise ? weft::base::supervise([&] { return weft::serve(*options); }) : weft::serve(*options);
}
