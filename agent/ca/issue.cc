#include "agent/ca/issue.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/ca/certificate.h"
#include "userspace-proxy/base/address.h"

namespace weft::ca {
namespace {

constexpr auto kBackdate = std::chrono::minutes(2);  // clocks of nodes differ

Profile leaf_profile(const Signer& signer, std::chrono::seconds validity, base::WallTime now) {
  Profile out;
  out.not_before = now - kBackdate;
  out.not_after = std::min(base::WallTime(now + validity), signer.not_after);
  out.key_usage = "critical,digitalSignature,keyEncipherment";
  return out;
}

// OpenSSL's notation of names has ',' and ':' as its own signs, and reads '@' as the name of a section.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '*' || c == '_';
  });
}

base::Result<std::string> names_as_text(const std::vector<std::string>& names) {
  std::string out = "critical";
  for (const auto& name : names) {
    const auto address = base::Address::parse(name);
    if (!address && !is_plain_name(name))
      return base::fail(base::ErrorKind::kInvalid, fmt::format("\"{}\" is neither a DNS name nor an address", name));
    out += address ? ",IP:" + address->to_string() : ",DNS:" + name;
  }
  if (names.empty()) return base::fail(base::ErrorKind::kInvalid, "a server certificate needs a name");
  return out;
}

}  // namespace

Judged<std::chrono::seconds> validity_of(int64_t asked_seconds, const Validity& limits) {
  if (asked_seconds <= 0) return limits.standard;
  if (asked_seconds <= limits.longest.count()) return std::chrono::seconds(asked_seconds);
  return refuse(Reason::kValidity, fmt::format("{} s asked, the longest is {} s", asked_seconds, limits.longest.count()));
}

Judged<std::string> issue_workload(const Signer& signer, const model::SpiffeId& identity, EVP_PKEY& key,
                                   std::chrono::seconds validity, base::WallTime now) {
  if (signer.not_after <= now) return refuse(Reason::kNotReady, "the signing certificate has expired");
  const std::string uri = identity.to_string();
  if (!model::SpiffeId::parse(uri) || uri.find_first_of(",@\\\"") != std::string::npos)
    return refuse(Reason::kIdentity, fmt::format("{} is no identity", uri));
  Profile profile = leaf_profile(signer, validity, now);
  profile.extended_key_usage = "serverAuth,clientAuth";
  profile.alternative_names = "critical,URI:" + uri;
  const auto leaf = make_certificate(profile, key, signer.certificate.get(), *signer.key);
  if (!leaf) return refuse(Reason::kNotReady, base::describe(leaf.error()));
  return grpc::write_certificate(**leaf);
}

base::Result<ServerIdentity> issue_server(const Signer& signer, const std::vector<std::string>& names,
                                          std::chrono::seconds validity, base::WallTime now) {
  if (signer.not_after <= now) return base::fail(base::ErrorKind::kConflict, "the signing certificate has expired");
  const grpc::KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return grpc::fail_openssl(base::ErrorKind::kSystem, "make a server's key");
  Profile profile = leaf_profile(signer, validity, now);
  profile.extended_key_usage = "serverAuth";
  TRY_ASSIGN(profile.alternative_names, names_as_text(names));
  TRY_ASSIGN(const auto leaf, make_certificate(profile, *key, signer.certificate.get(), *signer.key));
  ServerIdentity out{grpc::write_certificate(*leaf), grpc::write_private_key(*key), profile.not_before, profile.not_after};
  for (const auto& link : signer.intermediates) out.chain_pem += link;
  return out;
}

}  // namespace weft::ca
