#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "userspace-proxy/worker/confine.h"

namespace weft::worker {
namespace {

struct Allowed {
  int call;
  const char* why;
};

constexpr Allowed kAllowed[] = {
    // The loop.
    {SCMP_SYS(epoll_create1), "one loop per worker"},
    {SCMP_SYS(epoll_wait), "wait for events"},
    {SCMP_SYS(epoll_pwait), "the same, as newer C libraries spell it"},
    {SCMP_SYS(epoll_ctl), "register a descriptor"},
    {SCMP_SYS(eventfd2), "the descriptor held in reserve for shedding"},
    {SCMP_SYS(poll), "see a reset behind held bytes; a full log pipe"},
    {SCMP_SYS(read), "mailbox, signalfd"},
    {SCMP_SYS(write), "mailbox, log"},
    {SCMP_SYS(writev), "log lines through stdio"},
    {SCMP_SYS(close), "every descriptor ends"},
    {SCMP_SYS(fcntl), "one copy of a listener per worker; seals of a Snapshot's memory"},
    // Connections. socket() is below.
    {SCMP_SYS(accept4), "take a connection"},
    {SCMP_SYS(bind), "deliver with the client's address"},
    {SCMP_SYS(connect), "dial; the agent's socket"},
    {SCMP_SYS(recvfrom), "read a connection"},
    {SCMP_SYS(recvmsg), "descriptors from the agent"},
    {SCMP_SYS(sendmsg), "write a connection; answer the agent"},
    {SCMP_SYS(sendto), "the same, for plain send()"},
    {SCMP_SYS(pipe2), "carry bulk"},
    {SCMP_SYS(splice), "carry bulk"},
    {SCMP_SYS(shutdown), "pass a half-close on"},
    {SCMP_SYS(getsockname), "the original destination"},
    {SCMP_SYS(getpeername), "the source"},
    {SCMP_SYS(getsockopt), "the outcome of a dial"},
    {SCMP_SYS(setsockopt), "no delay, linger, reuse of addresses"},
    // Memory. mmap and mprotect are below.
    {SCMP_SYS(brk), "allocator"},
    {SCMP_SYS(munmap), "allocator, a Snapshot that was read"},
    {SCMP_SYS(mremap), "allocator"},
    {SCMP_SYS(madvise), "allocator, thread stacks"},
    {SCMP_SYS(fstat), "size of a Snapshot's memory"},
    {SCMP_SYS(newfstatat), "the same, as newer C libraries spell it"},
    {SCMP_SYS(lseek), "the same"},
    {SCMP_SYS(pread64), "read a Snapshot"},
    // Threads. clone() is below.
    {SCMP_SYS(futex), "mutexes, joins, futures"},
    {SCMP_SYS(set_robust_list), "thread start"},
    {SCMP_SYS(rseq), "thread start"},
    {SCMP_SYS(sched_yield), "thread library"},
    {SCMP_SYS(sched_getaffinity), "thread library"},
    {SCMP_SYS(gettid), "log lines, abort()"},
    {SCMP_SYS(getpid), "abort()"},
    {SCMP_SYS(tgkill), "abort()"},
    {SCMP_SYS(exit), "thread end"},
    {SCMP_SYS(exit_group), "process end"},
    {SCMP_SYS(rt_sigprocmask), "thread start, abort()"},
    {SCMP_SYS(rt_sigreturn), "end of a signal handler"},
    {SCMP_SYS(rt_sigaction), "abort() restores the default"},
    {SCMP_SYS(restart_syscall), "a wait that was interrupted by a stop and continue"},
    // Time and chance.
    {SCMP_SYS(clock_gettime), "where the vDSO cannot serve it"},
    {SCMP_SYS(gettimeofday), "where the vDSO cannot serve it"},
    {SCMP_SYS(clock_nanosleep), "bounded waits of the thread library"},
    {SCMP_SYS(getrandom), "seeds; hash tables of libraries; keys"},
    {SCMP_SYS(sysinfo), "how much memory qsort() may take, which OpenSSL sorts with"},
};

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

base::Status check(int error, const char* what) {
  if (error == 0) return {};
  return base::fail_errno(-error, std::string("seccomp: ") + what);
}

base::Status allow_with_arguments(scmp_filter_ctx context) {
  for (const int family : {AF_UNIX, AF_INET, AF_INET6})
    TRY(check(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))),
              "socket"));
  // Never memory that is written and run.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    TRY(check(seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)),
              "mmap"));
  // No file is opened any more. Refused and not fatal, because the C library's allocator tries to read
  // /proc/sys/vm/overcommit_memory when it gives memory back, and goes on without.
  TRY(check(seccomp_rule_add(context, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0), "openat"));
  // Threads, not processes. The C library falls back to clone() when clone3() is not there.
  TRY(check(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)),
            "clone"));
  TRY(check(seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3"));
  return check(
      seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)),
      "prctl");
}

// The kernel has not run the call. Says which one it was, then dies of the signal.
void report_and_die(int, siginfo_t* info, void*) {
  char line[] = "weft-proxy: forbidden system call 0000, stopping\n";
  int number = info->si_syscall;
  char* digit = std::strstr(line, "0000") + 3;
  for (int i = 0; i < 4; ++i, number /= 10) *digit-- = static_cast<char>('0' + number % 10);
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line, sizeof line - 1);
  signal(SIGSYS, SIG_DFL);
  raise(SIGSYS);
}

}  // namespace

base::Status confine_system_calls(Seccomp mode) {
  if (mode == Seccomp::kOff) return {};
  const Context context(seccomp_init(mode == Seccomp::kLog ? SCMP_ACT_LOG : SCMP_ACT_TRAP), &seccomp_release);
  if (!context) return base::fail(base::ErrorKind::kLimit, "seccomp: no memory");
  for (const auto& allowed : kAllowed)
    TRY(check(seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, allowed.call, 0), allowed.why));
  TRY(allow_with_arguments(context.get()));

  struct sigaction action{};
  action.sa_sigaction = report_and_die;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSYS, &action, nullptr);
  return check(seccomp_load(context.get()), "load");
}

}  // namespace weft::worker
