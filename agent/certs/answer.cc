#include "agent/certs/answer.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <vector>

#include "agent/certs/pem.h"
#include "userspace-proxy/model/channel.h"

namespace weft::certs {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, grpc::Freed<GENERAL_NAMES_free>>;
using Chain = std::vector<grpc::CertificatePtr>;

std::unexpected<Refused> refuse(Refusal why, std::string what) {
  return std::unexpected(Refused{why, std::move(what)});
}

// Every URI among the subject's alternative names; other kinds of names say nothing about identity.
std::vector<std::string> uris_of(X509& leaf) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&leaf, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> uris;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return uris;
}

// Text of a certificate goes to logs and to people: printable, and not for ever.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 128));
  std::ranges::replace_if(out, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

std::expected<Chain, Refused> read_chain(const Answer& answer) {
  Chain chain;
  for (size_t i = 0; i + 1 < answer.elements.size(); ++i) {
    auto one = read_strict(answer.elements[i], Roots::kMost);
    if (!one)
      return refuse(Refusal::kUnreadable, fmt::format("element {} of the chain: {}", i, one.error().what));
    if (one->size() != 1)
      return refuse(Refusal::kNotOne,
                    fmt::format("element {} of the chain holds {} certificates", i, one->size()));
    chain.push_back(std::move(one->front()));
  }
  return chain;
}

std::expected<void, Refused> check_leaf(X509& leaf, const model::SpiffeId& identity,
                                        std::string_view request_der, base::WallTime now) {
  const auto request = read_request(request_der);
  if (!request || X509_check_private_key(&leaf, X509_REQ_get0_pubkey(request->get())) != 1) {
    (void)grpc::openssl_error();
    return refuse(Refusal::kOtherKey, "the certificate is for another key than the one that asked");
  }
  const auto uris = uris_of(leaf);
  if (uris.size() != 1 || uris.front() != identity.to_string())
    return refuse(Refusal::kOtherIdentity,
                  fmt::format("asked for {}, the certificate names {} URIs, the first \"{}\"",
                              identity.to_string(), uris.size(), uris.empty() ? "" : shown(uris.front())));
  if (X509_check_purpose(&leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1 ||
      X509_check_purpose(&leaf, X509_PURPOSE_SSL_SERVER, 0) != 1)
    return refuse(Refusal::kWrongUse, "the certificate does not serve for both ends of a connection");
  if (begin_of(leaf) > now || end_of(leaf) <= now)
    return refuse(Refusal::kOutOfTime,
                  "the certificate is not valid now: compare the clocks of this node and of the CA");
  return {};
}

std::vector<X509*> between(const Chain& chain) {
  std::vector<X509*> out;
  for (size_t i = 1; i < chain.size(); ++i) out.push_back(chain[i].get());
  return out;
}

std::string written(const Chain& chain) {
  std::string pem;
  for (const auto& certificate : chain) pem += grpc::write_certificate(*certificate);
  return pem;
}

}  // namespace

std::string_view name_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kUnreadable:
      return "unreadable";
    case Refusal::kNoRoot:
      return "no_root";
    case Refusal::kNotOne:
      return "not_one";
    case Refusal::kOtherKey:
      return "other_key";
    case Refusal::kOtherIdentity:
      return "other_identity";
    case Refusal::kWrongUse:
      return "wrong_use";
    case Refusal::kOutOfTime:
      return "out_of_time";
    case Refusal::kUnknownAuthority:
      return "unknown_authority";
  }
  return "unknown";
}

std::expected<Certificate, Refused> check_answer(const Answer& answer, const model::SpiffeId& identity,
                                                 std::string_view request_der, base::WallTime now,
                                                 const Roots* anchors) {
  if (answer.elements.size() < 2) return refuse(Refusal::kNoRoot, "the answer holds no chain with its root");
  if (answer.elements.size() > kMostElements)
    return refuse(Refusal::kUnreadable, "the answer's chain is too long");
  auto roots = Roots::parse(answer.elements.back());
  // Where the last element is no authority's the CA has left the root out.
  if (!roots) return refuse(Refusal::kNoRoot, "the answer's roots: " + roots.error().what);
  auto chain = read_chain(answer);
  if (!chain) return std::unexpected(std::move(chain.error()));
  X509& leaf = *chain->front();
  if (auto fits = check_leaf(leaf, identity, request_der, now); !fits) return std::unexpected(fits.error());
  const Roots& believed = anchors != nullptr ? *anchors : **roots;
  if (auto judged = believed.judge(leaf, between(*chain), now); !judged)
    return refuse(
        Refusal::kUnknownAuthority,
        "the CA signs with an authority that the trust bundle does not hold: " + judged.error().what);
  Certificate out{written(*chain), begin_of(leaf), end_of(leaf), std::move(*roots)};
  if (out.chain.size() > model::kMaxChainBytes)
    return refuse(Refusal::kUnreadable, "the answer's chain is too long");
  return out;
}

bool is_believed(const std::string& chain, const Roots& roots, base::WallTime now) {
  const auto read = read_strict(chain, kMostElements);
  return read && roots.judge(*read->front(), between(*read), now).has_value();
}

}  // namespace weft::certs
