#pragma once
#include <atomic>
#include <cstdint>

#include "agent/ca/authenticator.h"
#include "agent/ca/authority.h"
#include "agent/ca/issue.h"
#include "agent/ca/node_authorizer.h"
#include "agent/ca_wire/ca_wire.h"
#include "agent/grpc/server.h"

namespace weft::ca {

// At most so many log lines a second; what is left unsaid is counted. Any thread.
class LogLimit {
 public:
  static constexpr uint64_t kLinesPerSecond = 10;
  [[nodiscard]] bool allow(base::Instant now);
  [[nodiscard]] uint64_t unsaid() const { return unsaid_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> second_{0};
  std::atomic<uint64_t> lines_{0}, unsaid_{0};
};

// CreateCertificate (reference identity 1 and 2). Owner: the control role. create() from any thread.
class CertificateService {
 public:
  CertificateService(const Authority& authority, Authenticator& authenticator, const NodeAuthorizer& authorizer,
                     const Validity& validity, const base::Clock& clock);

  [[nodiscard]] grpc::Answer create(const grpc::Request& request);

  [[nodiscard]] uint64_t issued() const { return issued_.load(std::memory_order_relaxed); }
  [[nodiscard]] const RefusalCounters& refusals() const { return refusals_; }
  [[nodiscard]] uint64_t unsaid() const { return log_.unsaid(); }

 private:
  [[nodiscard]] Judged<std::string> judge(const grpc::Request& request, std::string& who);
  [[nodiscard]] grpc::Failure refuse_call(const grpc::Request& request, const Refusal& refusal, const std::string& who);

  const Authority& authority_;
  Authenticator& authenticator_;
  const NodeAuthorizer& authorizer_;
  const Validity validity_;
  const base::Clock& clock_;
  std::atomic<uint64_t> issued_{0};
  RefusalCounters refusals_;
  LogLimit log_;
};

}  // namespace weft::ca
