// Making the first root.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/ca/certificate.h"
#include "agent/ca/signer.h"

namespace weft::ca {
namespace {

constexpr auto kRootLife = std::chrono::hours(24 * 3650);
constexpr auto kBackdate = std::chrono::minutes(2);  // clocks of nodes differ

// The signing certificate comes last: with it the set is whole. `making` says that what else is there is ours,
// left by a writer that died.
base::Status write_root(const CaFiles& files, const std::string& making, const std::string& trust_domain,
                        base::WallTime now) {
  const grpc::KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return grpc::fail_openssl(base::ErrorKind::kSystem, "make the key of the root");
  Profile profile;
  profile.organisation = trust_domain;
  profile.key_usage = "critical,keyCertSign,cRLSign";
  profile.authority = true;
  profile.not_before = now - kBackdate;
  profile.not_after = now + kRootLife;
  TRY_ASSIGN(const auto root, make_certificate(profile, *key, nullptr, *key));
  const std::string pem = grpc::write_certificate(*root);
  TRY(write_file(making, "", 0600));
  TRY(write_file(files.key, grpc::write_private_key(*key), 0600));
  TRY(write_file(files.roots, pem, 0644));
  TRY(write_file(files.chain, pem, 0644));
  TRY(write_file(files.certificate, pem, 0644));
  if (::unlink(making.c_str()) != 0) return base::fail_errno("remove " + making);
  return {};
}

}  // namespace

base::Status ensure_root(const std::string& directory, const std::string& trust_domain, base::WallTime now) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return base::fail_errno("make directory " + directory);
  const CaFiles files(directory);
  // Plugged in, perhaps read-only: nothing to lock for.
  if (exists(files.certificate) && exists(files.key) && exists(files.roots)) return {};
  TRY_ASSIGN(const auto lock, DirectoryLock::take(directory));
  const std::string making = directory + "/.making";
  const bool certificate = exists(files.certificate), key = exists(files.key), roots = exists(files.roots);
  if (certificate && key && roots) return {};
  const bool empty = !certificate && !key && !roots;
  if (empty || exists(making)) return write_root(files, making, trust_domain, now);
  const std::string& lacks = !certificate ? files.certificate : !key ? files.key : files.roots;
  return base::fail(base::ErrorKind::kConflict,
                    lacks + " is missing while others of the CA's files are there: add it, or empty the directory to have a root made");
}

}  // namespace weft::ca
