#pragma once
// Looking at other processes from outside: their rights, and whether their memory or files hold a secret. Needs root.
#include <openssl/evp.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace weft::test {

// Those lines of /proc/<pid>/status that say what a process may do.
struct Rights {
  uint64_t effective = ~0ull, bounding = ~0ull;  // capabilities by CAP_* bit
  bool no_new_privileges = false;
  int seccomp = -1;  // 2: a filter
  uid_t uid = 0;     // the effective one
};
// Pure. What the text does not say reads as the widest right.
[[nodiscard]] Rights rights_in(std::string_view status);
[[nodiscard]] Rights rights_of(pid_t pid);

// Processes named `comm` (as in /proc/<pid>/comm) whose cgroup has `cgroup_part` in its path, sorted.
[[nodiscard]] std::vector<pid_t> processes_named(const std::string& comm, const std::string& cgroup_part);

// Hands every readable byte of a process's memory but for the constants of the system's libraries (GnuTLS, which comes
// with libcurl, has keys in there to test itself with) to `look`, mapping by mapping in blocks that overlap by
// `overlap` bytes. How many bytes there were; 0: the memory could not be read. `only_private`: without pages
// that come unchanged from files.
size_t read_memory(pid_t pid, bool only_private, size_t overlap, const std::function<void(std::string_view)>& look);

// How often private keys in their usual forms occur: PEM (any kind, with a body), PKCS#8 and SEC 1 in DER for P-256.
[[nodiscard]] size_t count_private_keys(std::string_view bytes);
[[nodiscard]] size_t private_keys_in_memory(pid_t pid);
// Regular files below `directory` that hold one. Symbolic links are not followed.
[[nodiscard]] std::vector<std::string> files_with_private_keys(const std::string& directory);
[[nodiscard]] bool memory_holds(pid_t pid, const std::string& needle);

using PublicKey = std::shared_ptr<EVP_PKEY>;
// The public P-256 keys of the certificates that lie in the process's memory as PEM or DER, each once.
[[nodiscard]] std::vector<PublicKey> certificate_keys_in_memory(pid_t pid);
// Looks for the number behind a public key itself, in both byte orders, at every multiple of eight: what no
// pattern of a format finds. `limit`: windows to try. How many of `keys` it found; -1: the limit was reached.
[[nodiscard]] int scalars_in_memory(pid_t pid, const std::vector<PublicKey>& keys, size_t limit = 3'000'000);
// The same over bytes: the public points whose number was found are added to `found`. Pure.
void find_scalars(std::string_view bytes, const std::vector<PublicKey>& keys, size_t* windows_left,
                  std::set<std::string>* found);

}  // namespace weft::test
