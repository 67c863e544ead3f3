#include "agent/ca/service.h"

#include <fmt/format.h>

#include "agent/ca/csr.h"
#include "userspace-proxy/base/log.h"

namespace weft::ca {
namespace {

constexpr std::string_view kBearer = "Bearer ";

Judged<std::string_view> bearer_token(const grpc::Request& request) {
  std::string_view value;
  size_t found = 0;
  for (const auto& [name, text] : request.metadata)
    if (name == ca_wire::kAuthorization && ++found == 1) value = text;
  if (found > 1) return refuse(Reason::kTokenMalformed, "more than one authorization header");
  if (!value.starts_with(kBearer)) return refuse(Reason::kNoToken, "no bearer token");
  return value.substr(kBearer.size());
}

// Parts of the caller's words reach the log: they stay on their line.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < 0x20 || c >= 0x7f) c = '?';
  return text;
}

std::string_view metadata_of(const ca_wire::CertificateRequest& request, std::string_view key) {
  const auto& fields = request.metadata().fields();
  const auto found = fields.find(std::string(key));
  return found == fields.end() ? std::string_view() : std::string_view(found->second.string_value());
}

// What the caller may learn: whether he is wrong in what he asks for, or to come again. Who was refused for
// who he is learns that alone.
grpc::Failure failure_of(Reason reason) {
  switch (reason) {
    case Reason::kNotReady:
      return {grpc::Code::kUnavailable, "the CA is not ready"};
    // An agent hears of a pod before the CA does, as often as not. His token was proven by then, and whether such a pod is
    // elsewhere, nowhere or still to come he is not told.
    case Reason::kCallerUnknown:
    case Reason::kNotOnNode:
      return {grpc::Code::kUnavailable, "no such pod was seen yet"};
    case Reason::kRequestMalformed:
    case Reason::kRequestKey:
    case Reason::kRequestSignature:
    case Reason::kSigner:
      return {grpc::Code::kInvalidArgument, "the signing request is not acceptable"};
    case Reason::kValidity:
      return {grpc::Code::kInvalidArgument, "the validity asked for is too long"};
    default:
      return {grpc::Code::kUnauthenticated, "request authenticate failure"};
  }
}

}  // namespace

bool LogLimit::allow(base::Instant now) {
  const int64_t second = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (second_.exchange(second, std::memory_order_relaxed) != second) lines_.store(0, std::memory_order_relaxed);
  if (lines_.fetch_add(1, std::memory_order_relaxed) < kLinesPerSecond) return true;
  unsaid_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

CertificateService::CertificateService(const Authority& authority, Authenticator& authenticator,
                                       const NodeAuthorizer& authorizer, const Validity& validity,
                                       const base::Clock& clock)
    : authority_(authority), authenticator_(authenticator), authorizer_(authorizer), validity_(validity), clock_(clock) {}

Judged<std::string> CertificateService::judge(const grpc::Request& request, std::string& who) {
  TRY_ASSIGN(const auto token, bearer_token(request));
  TRY_ASSIGN(const Caller caller, authenticator_.authenticate(token, grpc::find(request.metadata, ca_wire::kClusterId)));
  who = fmt::format("pod {}/{} ({})", caller.ns, caller.pod, caller.service_account);
  ca_wire::CertificateRequest asked;
  if (!asked.ParseFromString(request.message)) return refuse(Reason::kRequestMalformed, "not a CertificateRequest");
  TRY_ASSIGN(const auto identity, authorizer_.authorize(caller, metadata_of(asked, ca_wire::kImpersonatedIdentity)));
  if (!metadata_of(asked, ca_wire::kCertSigner).empty()) return refuse(Reason::kSigner, "another signer was asked for");
  TRY_ASSIGN(const auto validity, validity_of(asked.validity_duration(), validity_));
  TRY_ASSIGN(const auto key, read_requested_key(asked.csr()));
  const SignerPtr signer = authority_.signer();
  TRY_ASSIGN(std::string leaf, issue_workload(*signer, identity, *key, validity, clock_.wall_now()));
  ca_wire::CertificateResponse response;
  response.add_cert_chain(std::move(leaf));
  for (const auto& link : signer->intermediates) response.add_cert_chain(link);
  response.add_cert_chain(signer->roots_pem);
  return response.SerializeAsString();
}

grpc::Failure CertificateService::refuse_call(const grpc::Request& request, const Refusal& refusal,
                                              const std::string& who) {
  refusals_.add(refusal.reason);
  if (log_.allow(clock_.now()))
    spdlog::warn("certificate refused ({}) to {}{}{}: {}", name_of(refusal.reason), request.peer,
                 who.empty() ? "" : ", ", who, printable(refusal.what));
  return failure_of(refusal.reason);
}

grpc::Answer CertificateService::create(const grpc::Request& request) {
  std::string who;
  auto response = judge(request, who);
  if (!response) return std::unexpected(refuse_call(request, response.error(), who));
  issued_.fetch_add(1, std::memory_order_relaxed);
  return std::move(*response);
}

}  // namespace weft::ca
