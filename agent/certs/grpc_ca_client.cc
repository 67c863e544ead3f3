#include "agent/certs/grpc_ca_client.h"

#include <algorithm>
#include <utility>

#include "agent/ca_wire/ca_wire.h"
#include "agent/certs/answer.h"
#include "agent/certs/files.h"
#include "agent/certs/pem.h"
#include "userspace-proxy/model/channel.h"

namespace weft::certs {
namespace {

constexpr size_t kMostToken = 16u << 10;

base::Result<std::string> encode(const Ask& ask, const GrpcCaOptions& options) {
  ca_wire::CertificateRequest request;
  TRY_ASSIGN(std::string csr, request_to_pem(ask.request));
  request.set_csr(std::move(csr));
  request.set_validity_duration(options.validity_seconds);
  if (options.for_others) {
    auto& fields = *request.mutable_metadata()->mutable_fields();
    fields[std::string(ca_wire::kImpersonatedIdentity)].set_string_value(ask.identity.to_string());
  }
  return request.SerializeAsString();
}

// The CA says little on purpose: where its reasons are is worth a word.
base::Error told(const grpc::CallError& error) {
  base::Error out = error;
  if (error.from_peer && error.code == grpc::Code::kUnauthenticated)
    out.what += " (the CA's log says why: token, account or pods of this node)";
  if (error.from_peer && error.code == grpc::Code::kUnavailable) out.kind = base::ErrorKind::kNotFound;
  return out;
}

}  // namespace

base::Result<std::string> read_token(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_bounded(path, kMostToken));
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return base::fail(base::ErrorKind::kInvalid, path + " holds no token");
  std::string token = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
  if (!std::ranges::all_of(token, [](unsigned char c) { return c > 0x20 && c < 0x7f; }))
    return base::fail(base::ErrorKind::kInvalid, path + " holds no token");
  return token;
}

base::Result<Answer> decode_answer(std::string_view message) {
  ca_wire::CertificateResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return base::fail(base::ErrorKind::kInvalid, "its answer is no CertificateResponse");
  if (static_cast<size_t>(response.cert_chain_size()) > kMostElements)
    return base::fail(base::ErrorKind::kInvalid, "its answer's chain is too long");
  return Answer{{response.cert_chain().begin(), response.cert_chain().end()}};
}

base::Result<Answer> GrpcCaClient::request(const Ask& ask) {
  TRY_ASSIGN(const std::string token, read_token(options_.token_file));
  grpc::Call call{.path = std::string(ca_wire::kCreateCertificate), .deadline = kAskTimeout};
  call.headers = {{std::string(ca_wire::kAuthorization), "Bearer " + token},
                  {std::string(ca_wire::kClusterId), options_.cluster}};
  call.max_reply = 2 * model::kMaxChainBytes;
  TRY_ASSIGN(call.message, encode(ask, options_));
  const std::vector<std::string> endpoints = options_.address->endpoints();
  call.deadline = kAskTimeout / static_cast<int>(endpoints.size());
  std::string before;  // what was tried in vain
  for (const std::string& endpoint : endpoints) {
    bool answered = false;
    auto answer = ask_at(endpoint, ask, call, answered);
    if (answered) return answer;
    before += (before.empty() ? "" : "; ") + answer.error().what;
    answer.error().what = before;
    if (endpoint == endpoints.back()) return answer;
  }
  std::unreachable();
}

// `answered`: by the CA, if only with a no; the next address would say the same.
base::Result<Answer> GrpcCaClient::ask_at(const std::string& endpoint, const Ask& ask, const grpc::Call& call,
                                          bool& answered) const {
  const grpc::Target target{endpoint, ask.roots == nullptr ? "" : ask.roots->pem(),
                            options_.server_name.empty() ? options_.address->host() : options_.server_name};
  const grpc::Reply reply = grpc::call(target, call);
  answered = reply || reply.error().from_peer;
  if (!reply) return std::unexpected(told(reply.error()));
  return decode_answer(*reply);
}

}  // namespace weft::certs
