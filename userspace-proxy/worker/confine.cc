#include "userspace-proxy/worker/confine.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>

namespace weft::worker {
namespace {

constexpr rlim_t kWantedDescriptors = 1u << 20;

base::Status become(const std::string& user) {
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return base::fail(base::ErrorKind::kNotFound, "no user named " + user);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability)
    if (prctl(PR_CAPBSET_DROP, capability) != 0)
      return base::fail_errno("cannot shrink the capability bounding set");
  if (setgroups(0, nullptr) != 0) return base::fail_errno("setgroups");
  if (setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0) return base::fail_errno("setresgid");
  if (setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) return base::fail_errno("setresuid");
  return {};
}

base::Status empty_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capset, &header, data.data()) != 0) return base::fail_errno("cannot drop capabilities");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return base::fail_errno("cannot drop ambient capabilities");
  if (syscall(SYS_capget, &header, data.data()) != 0) return base::fail_errno("cannot read capabilities");
  for (const auto& word : data)
    if (word.effective != 0 || word.permitted != 0 || word.inheritable != 0)
      return base::fail(base::ErrorKind::kConflict, "a capability is left over");
  return {};
}

}  // namespace

base::Result<size_t> raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return base::fail_errno("getrlimit");
  rlimit wanted{.rlim_cur = kWantedDescriptors, .rlim_max = std::max(limit.rlim_max, kWantedDescriptors)};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return wanted.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return base::fail_errno("setrlimit");
  return limit.rlim_cur;
}

base::Status drop_privileges(const std::string& user) {
  if (geteuid() == 0) TRY(become(user));
  TRY(empty_capabilities());
  if (geteuid() == 0)
    return base::fail(base::ErrorKind::kConflict, "the proxy does not run as root: give it another --user");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return base::fail_errno("PR_SET_NO_NEW_PRIVS");
  return {};
}

base::Status prepare_tls() {
  // A configuration file of the machine must not decide what we offer or load code into us.
  if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1 || RAND_status() != 1)
    return base::fail(base::ErrorKind::kSystem, "OpenSSL cannot be made ready");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return base::fail_errno("PR_SET_DUMPABLE");
  return {};
}

}  // namespace weft::worker
