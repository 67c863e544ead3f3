#include "userspace-proxy/tls/trust_bundle.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>

#include "userspace-proxy/tls/certificate.h"

namespace weft::tls {
namespace {

// Why `root` cannot be an anchor; empty when it can.
std::string_view unusable(X509* root) {
  if (X509_get0_pubkey(root) == nullptr) return "its key cannot be read";
  if (X509_check_ca(root) == 0) return "it is no CA certificate";
  return "";
}

bool holds(const std::vector<CertPtr>& roots, X509* wanted) {
  return std::ranges::any_of(roots, [&](const auto& root) { return X509_cmp(root.get(), wanted) == 0; });
}

}  // namespace

base::Result<TrustBundlePtr> TrustBundle::parse(std::string_view pem, uint64_t generation) {
  using base::ErrorKind;
  if (pem.size() > kMaxBytes)
    return base::fail(ErrorKind::kLimit, fmt::format("trust bundle: larger than {} bytes", kMaxBytes));
  auto certificates = parse_certificates(pem, kMaxRoots);
  if (!certificates) return base::fail(certificates.error().kind, "trust bundle: " + certificates.error().what);
  std::shared_ptr<TrustBundle> bundle(new TrustBundle);
  bundle->generation_ = generation;
  bundle->store_.reset(X509_STORE_new());
  X509_STORE_set_flags(bundle->store_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (size_t i = 0; i < certificates->size(); ++i) {
    auto& certificate = (*certificates)[i];
    if (const auto why = unusable(certificate.get()); !why.empty()) {
      bundle->warnings_.push_back(fmt::format("trust bundle: certificate {} skipped: {}", i + 1, why));
      continue;
    }
    if (holds(bundle->roots_, certificate.get())) continue;
    X509_STORE_add_cert(bundle->store_.get(), certificate.get());
    bundle->roots_.push_back(std::move(certificate));
  }
  ERR_clear_error();
  if (bundle->roots_.empty())
    return base::fail(ErrorKind::kInvalid, "trust bundle: no certificate in it can be a root: " + bundle->warnings_[0]);
  return bundle;
}

bool TrustBundle::covers(const TrustBundle& other) const {
  return std::ranges::all_of(other.roots_, [&](const auto& root) { return holds(roots_, root.get()); });
}

}  // namespace weft::tls
