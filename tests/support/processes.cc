#include "tests/support/processes.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include "userspace-proxy/base/fd.h"

namespace weft::test {
namespace {

constexpr size_t kBlock = 4 << 20;
constexpr size_t kScalar = 32;  // bytes of a private number on P-256
constexpr std::string_view kPkcs8{
    "\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d"
    "\x30\x6b\x02\x01\x01\x04\x20",
    36};
constexpr std::string_view kSec1Head{"\x30\x77\x02\x01\x01\x04\x20", 7};
constexpr std::string_view kSec1Curve{"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 12};
constexpr std::string_view kPemCertificate = "-----BEGIN CERTIFICATE-----";

// Empty for what cannot be read, such as the files of namespaces.
std::string whole_file(const std::string& path) {
  const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text, block(65536, '\0');
  for (ssize_t got = 0; fd && (got = ::read(fd.get(), block.data(), block.size())) > 0;)
    text.append(block, 0, static_cast<size_t>(got));
  return text;
}

std::string value_of(std::string_view status, const std::string& name) {
  const size_t at = ("\n" + std::string(status)).find("\n" + name + ":");
  if (at == std::string::npos) return "";
  const size_t from = at + name.size() + 1, end = status.find('\n', from);
  return std::string(status.substr(from, end - from));
}

bool is_base64(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/' || c == '=';
}

// A mapping of one of the system's shared libraries.
bool is_of_library(std::string_view mapping) {
  const size_t path = mapping.find('/');
  if (path == std::string_view::npos) return false;
  const std::string_view file = mapping.substr(path);
  return (file.starts_with("/usr/lib/") || file.starts_with("/lib/")) && file.find(".so") != std::string_view::npos;
}

// A header alone is a constant of some program; a key has a body.
bool has_pem_body(std::string_view after) {
  size_t at = 0, letters = 0;
  while (at < after.size() && (after[at] == '\n' || after[at] == '\r')) ++at;
  for (; at < after.size() && letters < 40 && is_base64(after[at]); ++at) ++letters;
  return letters >= 40;
}

size_t count_pem_keys(std::string_view bytes) {
  static constexpr std::string_view kEnd = "PRIVATE KEY-----";
  size_t count = 0;
  for (size_t at = bytes.find(kEnd); at != std::string_view::npos; at = bytes.find(kEnd, at + 1)) {
    const std::string_view before = bytes.substr(at - std::min<size_t>(at, 24), std::min<size_t>(at, 24));
    if (before.find("-----BEGIN ") != std::string_view::npos && has_pem_body(bytes.substr(at + kEnd.size()))) ++count;
  }
  return count;
}

size_t count_of(std::string_view bytes, std::string_view needle) {
  size_t count = 0;
  for (size_t at = bytes.find(needle); at != std::string_view::npos; at = bytes.find(needle, at + 1)) ++count;
  return count;
}

// A key is random: few repeated bytes, no empty word. Spares the curve arithmetic for text, code and zeros.
bool looks_random(std::string_view window) {
  for (size_t at = 0; at < window.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, window.data() + at, 8);
    if (word == 0) return false;
  }
  std::bitset<256> seen;
  for (const char c : window) seen.set(static_cast<uint8_t>(c));
  return seen.count() >= 24;
}

// The public point that belongs to a number, uncompressed; empty if the number is out of range.
class Curve {
 public:
  Curve() : group_(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)), point_(EC_POINT_new(group_)), number_(BN_new()),
            context_(BN_CTX_new()) {}
  ~Curve() {
    BN_CTX_free(context_);
    BN_free(number_);
    EC_POINT_free(point_);
    EC_GROUP_free(group_);
  }
  Curve(const Curve&) = delete;
  Curve& operator=(const Curve&) = delete;

  std::string point_of(std::string_view scalar, bool little_endian) {
    const auto* raw = reinterpret_cast<const unsigned char*>(scalar.data());
    (little_endian ? BN_lebin2bn : BN_bin2bn)(raw, kScalar, number_);
    if (BN_cmp(number_, EC_GROUP_get0_order(group_)) >= 0) return "";
    if (EC_POINT_mul(group_, point_, number_, nullptr, nullptr, context_) != 1) return "";
    std::string out(65, '\0');
    const size_t size = EC_POINT_point2oct(group_, point_, POINT_CONVERSION_UNCOMPRESSED,
                                           reinterpret_cast<unsigned char*>(out.data()), out.size(), context_);
    return out.substr(0, size);
  }

 private:
  EC_GROUP* group_;
  EC_POINT* point_;
  BIGNUM* number_;
  BN_CTX* context_;
};

std::string point_of(const EVP_PKEY* key) {
  std::string out(128, '\0');
  size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, reinterpret_cast<unsigned char*>(out.data()),
                                      out.size(), &size) != 1)
    return "";
  return out.substr(0, size);
}

void add_key(X509* raw, std::set<std::string>* seen, std::vector<PublicKey>* keys) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(raw, &X509_free);
  if (!certificate) return;
  PublicKey key(X509_get_pubkey(certificate.get()), &EVP_PKEY_free);
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC) return;
  const std::string point = point_of(key.get());
  if (point.size() == 65 && seen->insert(point).second) keys->push_back(std::move(key));
}

}  // namespace

Rights rights_in(std::string_view status) {
  Rights rights;
  const std::string effective = value_of(status, "CapEff"), bounding = value_of(status, "CapBnd"),
                    privileges = value_of(status, "NoNewPrivs"), seccomp = value_of(status, "Seccomp");
  if (!effective.empty()) rights.effective = std::strtoull(effective.c_str(), nullptr, 16);
  if (!bounding.empty()) rights.bounding = std::strtoull(bounding.c_str(), nullptr, 16);
  rights.no_new_privileges = std::atoi(privileges.c_str()) == 1;
  if (!seccomp.empty()) rights.seccomp = std::atoi(seccomp.c_str());
  // Real, effective, saved, file system.
  std::istringstream ids(value_of(status, "Uid"));
  uid_t real = 0;
  ids >> real >> rights.uid;
  return rights;
}

Rights rights_of(pid_t pid) {
  return rights_in(whole_file("/proc/" + std::to_string(pid) + "/status"));
}

std::vector<pid_t> processes_named(const std::string& comm, const std::string& cgroup_part) {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (whole_file(entry.path() / "comm") != comm + "\n") continue;
    if (whole_file(entry.path() / "cgroup").find(cgroup_part) != std::string::npos) pids.push_back(std::atoi(name.c_str()));
  }
  std::ranges::sort(pids);
  return pids;
}

size_t read_memory(pid_t pid, bool only_private, size_t overlap, const std::function<void(std::string_view)>& look) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const base::Fd memory(::open((proc + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  std::istringstream maps(whole_file(proc + "/maps"));
  std::string buffer(kBlock, '\0');
  size_t total = 0;
  for (std::string line; memory && std::getline(maps, line);) {
    unsigned long from = 0, to = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, access) != 3 || access[0] != 'r') continue;
    if (line.find("[vvar") != std::string::npos || line.find("[vsyscall]") != std::string::npos) continue;
    if (access[1] != 'w' && is_of_library(line)) continue;
    if (only_private && (access[1] != 'w' || access[3] != 'p') && line.find('/') != std::string::npos) continue;
    for (unsigned long at = from; at < to;) {
      const size_t wanted = std::min<size_t>(kBlock, to - at);
      const ssize_t got = ::pread(memory.get(), buffer.data(), wanted, static_cast<off_t>(at));
      if (got <= 0) break;  // pages that are mapped and not there (devices, guards)
      look({buffer.data(), static_cast<size_t>(got)});
      total += static_cast<size_t>(got);
      const bool more = at + static_cast<size_t>(got) < to && static_cast<size_t>(got) > overlap;
      at += static_cast<size_t>(got) - (more ? overlap : 0);
    }
  }
  return total;
}

size_t count_private_keys(std::string_view bytes) {
  size_t count = count_pem_keys(bytes) + count_of(bytes, kPkcs8);
  for (size_t at = bytes.find(kSec1Head); at != std::string_view::npos; at = bytes.find(kSec1Head, at + 1)) {
    const size_t curve = at + kSec1Head.size() + kScalar;
    if (curve < bytes.size() && bytes.substr(curve, kSec1Curve.size()) == kSec1Curve) ++count;
  }
  return count;
}

size_t private_keys_in_memory(pid_t pid) {
  size_t count = 0;
  const size_t read = read_memory(pid, false, 256, [&](std::string_view bytes) { count += count_private_keys(bytes); });
  return read == 0 ? SIZE_MAX : count;  // what could not be looked at is not clean
}

std::vector<std::string> files_with_private_keys(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  const auto options = std::filesystem::directory_options::skip_permission_denied;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, options, error)) {
    if (entry.is_symlink(error) || !entry.is_regular_file(error) || entry.file_size(error) > (16u << 20)) continue;
    if (count_private_keys(whole_file(entry.path())) > 0) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

bool memory_holds(pid_t pid, const std::string& needle) {
  bool found = false;
  (void)read_memory(pid, false, needle.size(),
                    [&](std::string_view bytes) { found = found || bytes.find(needle) != std::string_view::npos; });
  return found;
}

std::vector<PublicKey> certificate_keys_in_memory(pid_t pid) {
  std::vector<PublicKey> keys;
  std::set<std::string> seen;
  (void)read_memory(pid, true, 8192, [&](std::string_view bytes) {
    for (size_t at = bytes.find(kPemCertificate); at != std::string_view::npos; at = bytes.find(kPemCertificate, at + 1)) {
      const std::string_view text = bytes.substr(at, 8192);
      BIO* in = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
      add_key(PEM_read_bio_X509(in, nullptr, nullptr, nullptr), &seen, &keys);
      BIO_free(in);
    }
    // Certificate ::= SEQUENCE { SEQUENCE {...} ...}, each with a length of two bytes.
    static constexpr std::string_view kSequence{"\x30\x82", 2};
    for (size_t at = bytes.find(kSequence); at != std::string_view::npos; at = bytes.find(kSequence, at + 1)) {
      if (bytes.substr(std::min(at + 4, bytes.size()), 2) != kSequence) continue;
      const auto* der = reinterpret_cast<const unsigned char*>(bytes.data() + at);
      add_key(d2i_X509(nullptr, &der, static_cast<long>(std::min<size_t>(bytes.size() - at, 8192))), &seen, &keys);
    }
  });
  return keys;
}

void find_scalars(std::string_view bytes, const std::vector<PublicKey>& keys, size_t* windows_left,
                  std::set<std::string>* found) {
  std::set<std::string> wanted;
  for (const PublicKey& key : keys) wanted.insert(point_of(key.get()));
  Curve curve;
  for (size_t at = 0; at + kScalar <= bytes.size(); at += 8) {
    const std::string_view window = bytes.substr(at, kScalar);
    if (!looks_random(window)) continue;
    if (*windows_left == 0) break;
    --*windows_left;
    for (const bool little_endian : {true, false}) {
      const std::string point = curve.point_of(window, little_endian);
      if (wanted.contains(point)) found->insert(point);
    }
  }
}

int scalars_in_memory(pid_t pid, const std::vector<PublicKey>& keys, size_t limit) {
  std::set<std::string> found;
  size_t left = limit;
  const size_t read = read_memory(pid, true, kScalar,
                                  [&](std::string_view bytes) { find_scalars(bytes, keys, &left, &found); });
  return read == 0 || left == 0 ? -1 : static_cast<int>(found.size());
}

}  // namespace weft::test
