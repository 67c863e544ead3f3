// Any token against a key: none is taken that our key did not sign. The same bytes as claims behind a good
// signature and as a key set: who comes out is named in bounds, and nothing falls over.
#include <cstdint>
#include <string>

#include "agent/ca/json.h"
#include "agent/ca/token.h"
#include "agent/parse/base64.h"

using namespace weft::ca;

namespace {

constexpr const char* kKeys = R"({"keys":[
 {"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const KeySetPtr kSet = parse_jwks(kKeys).value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const TokenRules rules{.issuer = "https://kubernetes.default.svc.cluster.local"};
  const auto caller = verify_token(text, *kSet, rules, weft::base::WallTime(std::chrono::seconds(1'700'000'000)));
  // Nobody has the key of RFC 7515 A.3 sign such claims.
  CHECK(!caller);
  CHECK(!caller.error().what.empty());
  if (const auto claimed = judge_claims(text, rules, weft::base::WallTime(std::chrono::seconds(1'700'000'000)))) {
    CHECK(!claimed->ns.empty() && !claimed->service_account.empty() && !claimed->pod.empty() && !claimed->pod_uid.empty());
    CHECK((claimed->ns + claimed->service_account + claimed->pod + claimed->node).find('/') == std::string::npos);
  }
  (void)parse_jwks(text);
  (void)parse_object(text);
  for (const auto form : {weft::parse::Base64::kUrl, weft::parse::Base64::kPlain})
    if (const auto bytes = weft::parse::decode_base64(text, form)) CHECK(weft::parse::encode_base64(*bytes, form) == text);
  return 0;
}
