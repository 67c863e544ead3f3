#pragma once
// The CA over the network: istio.v1.auth.IstioCertificateService (reference identity.md 1), weft's own or any
// other that serves it.
#include <memory>
#include <string>

#include "agent/certs/ca_address.h"
#include "agent/certs/ca_client.h"
#include "agent/grpc/client.h"

namespace weft::certs {

struct GrpcCaOptions {
  std::shared_ptr<const CaAddress> address;  // never null
  std::string server_name;  // what the CA's certificate must say; empty: the host of `address`
  std::string token_file;   // bearer token, read anew for every request: others rotate it
  std::string cluster = "Kubernetes";
  int64_t validity_seconds = 0;  // wished for; 0: what the CA gives without a wish
  // A node asks in the name of its pods; a gateway asks with its own account's token, for itself.
  bool for_others = true;
};

// One connection a request: a node asks some times a day. Where nobody answers, or one who is not the CA, the next address
// is tried; the errors of all are the answer, of the last one's kind. No state but the options; any thread.
class GrpcCaClient final : public CaClient {
 public:
  explicit GrpcCaClient(GrpcCaOptions options) : options_(std::move(options)) {}
  base::Result<Answer> request(const Ask& ask) override;

 private:
  base::Result<Answer> ask_at(const std::string& endpoint, const Ask& ask, const grpc::Call& call, bool& answered) const;

  const GrpcCaOptions options_;
};

// A token file's content without the white space around it. kInvalid: empty, too long, or bytes that no token
// has and no header may carry. Never says what it read.
[[nodiscard]] base::Result<std::string> read_token(const std::string& path);
// A CertificateResponse. kInvalid: none, or one with more than any chain has.
[[nodiscard]] base::Result<Answer> decode_answer(std::string_view message);

}  // namespace weft::certs
