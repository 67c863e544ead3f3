#include "agent/sandbox/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <sstream>

#include "agent/sandbox/files.h"
#include "userspace-proxy/base/fd.h"

namespace weft::sandbox {
namespace {

std::string find_program(const std::string& name, const std::optional<std::vector<std::string>>& env) {
  if (name.find('/') != std::string::npos) return name;
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  if (env)
    for (const std::string& entry : *env)
      if (entry.starts_with("PATH=")) path = entry.substr(5);
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, ':');)
    if (::access((part + "/" + name).c_str(), X_OK) == 0) return part + "/" + name;
  return name;
}

base::Status make_target(const std::string& target, bool directory) {
  if (exists(target)) return {};
  if (directory) return make_directories(target);
  // A dangling link (resolv.conf into /run) is completed at its end.
  char link[PATH_MAX];
  const ssize_t length = ::readlink(target.c_str(), link, sizeof link - 1);
  std::string path = target;
  if (length > 0) {
    path.assign(link, static_cast<size_t>(length));
    if (path.front() != '/') path = target.substr(0, target.rfind('/') + 1) + path;
  }
  TRY(make_directories(path.substr(0, path.rfind('/'))));
  base::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file) return base::fail_errno("create mount point " + path);
  return {};
}

base::Status bind_one(const Bind& bind, int source) {
  struct stat info{};
  if (::fstat(source, &info) != 0) return base::fail_errno("stat " + bind.source);
  TRY(make_target(bind.target, S_ISDIR(info.st_mode)));
  const std::string handle = "/proc/self/fd/" + std::to_string(source);
  if (::mount(handle.c_str(), bind.target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return base::fail_errno("bind " + bind.source + " on " + bind.target);
  if (bind.read_only &&
      ::mount(nullptr, bind.target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    return base::fail_errno("remount " + bind.target + " read-only");
  return {};
}

base::Status make_mounts(const Launch& launch) {
  if (::unshare(CLONE_NEWNS | CLONE_NEWUTS) != 0) return base::fail_errno("unshare mounts");
  if (!launch.hostname.empty())
    (void)::sethostname(launch.hostname.data(), std::min<size_t>(launch.hostname.size(), 64));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return base::fail_errno("make mounts private");
  std::vector<base::Fd> sources;
  for (const Bind& bind : launch.binds) {
    sources.emplace_back(::open(bind.source.c_str(), O_PATH | O_CLOEXEC));
    if (!sources.back()) return base::fail_errno("open " + bind.source);
  }
  // Held mounts of network namespaces would keep a deleted pod's network alive for as long as this one lives.
  if (!launch.hide.empty()) {
    for (const std::string& name : list_directory(launch.hide))
      ::umount2((launch.hide + "/" + name + "/netns").c_str(), MNT_DETACH);
  }
  if (::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m") != 0)
    return base::fail_errno("mount a private /run");
  for (size_t i = 0; i < launch.binds.size(); ++i) TRY(bind_one(launch.binds[i], sources[i].get()));
  if (launch.read_only_root && ::mount(nullptr, "/", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    return base::fail_errno("remount / read-only");
  return {};
}

// Before the user changes: shrinking the set takes a capability itself.
base::Status limit_bounding_set(uint64_t keep) {
  for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
    if ((keep >> cap & 1) == 0 && ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
      return base::fail_errno("shrink the capability bounding set");
  return {};
}

// root gets what the bounding set still holds when it runs a program; other users get nothing.
base::Status empty_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capset, &header, data) != 0) return base::fail_errno("drop capabilities");
  return {};
}

base::Status drop_rights(const Launch& launch) {
  if (launch.keep_capabilities) TRY(limit_bounding_set(*launch.keep_capabilities));
  if (launch.run_as_user) {
    const uid_t id = *launch.run_as_user;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(id, id, id) != 0 || ::setresuid(id, id, id) != 0)
      return base::fail_errno("become user " + std::to_string(id));
  }
  if (launch.keep_capabilities) TRY(empty_capabilities());
  if (launch.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return base::fail_errno("set no-new-privileges");
  return {};
}

base::Status wire_streams(const Launch& launch) {
  if (launch.detach) {
    ::setsid();
    base::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null || ::dup2(null.get(), 0) < 0) return base::fail_errno("open /dev/null");
  }
  if (launch.input >= 0 && ::dup2(launch.input, 0) < 0) return base::fail_errno("dup stdin");
  if (launch.output < 0) return {};
  if (::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0) return base::fail_errno("dup stdout");
  return {};
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Child {
  pid_t pid = -1;
  base::Fd failure;  // the child's error text; ends empty once the program runs
};

base::Result<Child> fork_child(const Launch& launch) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::fail_errno("pipe");
  base::Fd read_end(ends[0]), write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return base::fail_errno("fork");
  if (pid == 0) {
    auto failed = become(launch);
    const std::string text = base::describe(failed.error());
    (void)!::write(write_end.get(), text.data(), text.size());
    ::_exit(127);
  }
  return Child{pid, std::move(read_end)};
}

std::string read_until_closed(int fd, std::chrono::milliseconds patience, bool* in_time) {
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  *in_time = true;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) == 0) {
      *in_time = false;
      return text;
    }
    char block[4096];
    const ssize_t got = ::read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(block, static_cast<size_t>(got));
  }
}

}  // namespace

base::Status enter_netns(const std::string& path) {
  base::Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return base::fail_errno("open network namespace " + path);
  if (::setns(netns.get(), CLONE_NEWNET) != 0) return base::fail_errno("enter network namespace " + path);
  return {};
}

base::Status become(const Launch& launch) {
  reset_signals();
  const std::string program = find_program(launch.argv.front(), launch.env);
  // Opened while it can be: the program may lie where the user it runs as cannot look.
  base::Fd image(::open(program.c_str(), O_PATH | O_CLOEXEC));
  if (!image) return base::fail_errno("find program " + program);
  if (!launch.cgroup.empty()) TRY(write_kernel_file(launch.cgroup + "/cgroup.procs", "0"));
  if (!launch.netns.empty()) TRY(enter_netns(launch.netns));
  if (launch.private_mounts) TRY(make_mounts(launch));
  if (!launch.directory.empty() && ::chdir(launch.directory.c_str()) != 0)
    return base::fail_errno("chdir " + launch.directory);
  TRY(wire_streams(launch));
  TRY(drop_rights(launch));
  auto argv = pointers(launch.argv);
  auto env = launch.env ? pointers(*launch.env) : std::vector<char*>();
  char** environment = launch.env ? env.data() : environ;
  ::execveat(image.get(), "", argv.data(), environment, AT_EMPTY_PATH);
  // A script's interpreter opens it by name, which a close-on-exec descriptor does not offer.
  if (errno == ENOENT) ::execve(program.c_str(), argv.data(), environment);
  return base::fail_errno("run " + program);
}

base::Result<pid_t> start(const Launch& launch) {
  TRY_ASSIGN(auto child, fork_child(launch));
  bool in_time = false;
  const std::string failure = read_until_closed(child.failure.get(), std::chrono::seconds(20), &in_time);
  if (failure.empty() && in_time) return child.pid;
  ::kill(child.pid, SIGKILL);
  ::waitpid(child.pid, nullptr, 0);
  return base::fail(base::ErrorKind::kSystem,
                    failure.empty() ? "the program did not start in time" : failure);
}

base::Result<std::string> run_tool(std::vector<std::string> argv, const std::string& input,
                                   const std::string& netns, std::chrono::milliseconds patience) {
  base::Fd stdin_file(::memfd_create("input", MFD_CLOEXEC));
  if (!stdin_file ||
      ::write(stdin_file.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size()))
    return base::fail_errno("prepare the input of " + argv.front());
  ::lseek(stdin_file.get(), 0, SEEK_SET);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::fail_errno("pipe");
  base::Fd read_end(ends[0]), write_end(ends[1]);
  Launch launch;
  launch.argv = argv;
  launch.netns = netns;
  launch.output = write_end.get();
  launch.input = stdin_file.get();
  TRY_ASSIGN(const pid_t pid, start(launch));
  write_end.reset();
  bool in_time = false;
  const std::string output = read_until_closed(read_end.get(), patience, &in_time);
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  return base::fail(in_time ? base::ErrorKind::kSystem : base::ErrorKind::kTimeout,
                    argv.front() + (in_time ? " failed: " : " did not end in time: ") + output);
}

}  // namespace weft::sandbox
