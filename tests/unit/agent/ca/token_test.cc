#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "agent/ca/jwks_authenticator.h"
#include "agent/ca/token.h"
#include "tests/support/ca_requests.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scratch_dir.h"

using namespace weft;
using namespace weft::ca;
using sandbox::Json;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

class Token : public testing::Test {
 protected:
  Json claims(seconds life = hours(1)) const {
    return sandbox::TokenIssuer::claims({"weft-system", "weft-node", "node-abc", "uid-1", "node1"}, "istio-ca", now_, life);
  }
  Judged<Caller> verify(const std::string& token) const { return verify_token(token, *keys_, rules_, now_); }
  // Of claims signed by the right key; `change` may be any wrong thing.
  template <typename Change>
  Reason refusal(Change change) const {
    Json json = claims();
    change(json);
    return reason_of(verify(issuer_.sign(json).value()));
  }
  static Reason reason_of(const Judged<Caller>& caller) {
    EXPECT_FALSE(caller);
    return caller ? Reason::kNotReady : caller.error().reason;
  }
  static std::string with_header(const Json& header, const Json& body, std::string_view signature = "") {
    return sandbox::base64url(header.dump()) + "." + sandbox::base64url(body.dump()) + "." + sandbox::base64url(signature);
  }

  test::ScratchDir dir_;
  const base::WallTime now_ = test::FakeClock().wall_now();
  const sandbox::TokenIssuer issuer_ = sandbox::TokenIssuer::open(dir_.path()).value();
  const KeySetPtr keys_ = parse_jwks(issuer_.jwks()).value();
  const TokenRules rules_{.issuer = sandbox::kTokenIssuer};
};

TEST_F(Token, a_projected_token_names_its_pod) {
  const auto caller = verify(issuer_.sign(claims()).value());
  ASSERT_TRUE(caller) << caller.error().what;
  EXPECT_EQ(caller->ns, "weft-system");
  EXPECT_EQ(caller->service_account, "weft-node");
  EXPECT_EQ(caller->pod, "node-abc");
  EXPECT_EQ(caller->pod_uid, "uid-1");
  EXPECT_EQ(caller->node, "node1");
}

TEST_F(Token, rs256_is_taken_as_well) {
  const test::RsaIssuer rsa;
  const auto keys = parse_jwks(rsa.jwks()).value();
  const std::string token = rsa.sign({{"alg", "RS256"}, {"kid", "rsa"}}, claims());
  EXPECT_TRUE(verify_token(token, *keys, rules_, now_));
  EXPECT_EQ(reason_of(verify(token)), Reason::kTokenKey);
  EXPECT_EQ(reason_of(verify_token(rsa.sign({{"alg", "PS256"}, {"kid", "rsa"}}, claims()), *keys, rules_, now_)), Reason::kTokenAlgorithm);
}

TEST_F(Token, alg_none_is_refused) {
  for (const char* alg : {"none", "None", "NONE", ""})
    EXPECT_EQ(reason_of(verify(with_header({{"alg", alg}, {"kid", issuer_.key_id()}}, claims()))), Reason::kTokenAlgorithm);
  EXPECT_EQ(reason_of(verify(with_header({{"kid", issuer_.key_id()}}, claims()))), Reason::kTokenAlgorithm);
}

TEST_F(Token, a_public_key_is_not_a_shared_secret) {
  const test::RsaIssuer rsa;
  const auto keys = parse_jwks(rsa.jwks()).value();
  const std::string text = sandbox::base64url(R"({"alg":"HS256","kid":"rsa"})") + "." + sandbox::base64url(claims().dump());
  const std::string secret = rsa.public_pem();
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  const std::string token = text + "." + sandbox::base64url({reinterpret_cast<char*>(mac), size});
  EXPECT_EQ(reason_of(verify_token(token, *keys, rules_, now_)), Reason::kTokenAlgorithm);
}

TEST_F(Token, a_key_of_one_kind_does_not_serve_another_algorithm) {
  EXPECT_EQ(reason_of(verify(with_header({{"alg", "RS256"}, {"kid", issuer_.key_id()}}, claims(), std::string(64, 'x')))), Reason::kTokenKey);
}

TEST_F(Token, another_key_or_a_changed_byte_is_refused) {
  test::ScratchDir elsewhere;
  const auto other = sandbox::TokenIssuer::open(elsewhere.path()).value();
  EXPECT_EQ(reason_of(verify(other.sign(claims()).value())), Reason::kTokenKey);
  std::string token = issuer_.sign(claims()).value();
  Json lie = claims();
  lie["kubernetes.io"]["node"]["name"] = "node2";
  const size_t first = token.find('.'), last = token.rfind('.');
  EXPECT_EQ(reason_of(verify(token.substr(0, first + 1) + sandbox::base64url(lie.dump()) + token.substr(last))), Reason::kTokenSignature);
  EXPECT_EQ(reason_of(verify(token.substr(0, last + 1) + sandbox::base64url(std::string(64, '\1')))), Reason::kTokenSignature);
  EXPECT_EQ(reason_of(verify(token.substr(0, last + 1) + sandbox::base64url(std::string(64, '\0')))), Reason::kTokenSignature);
  EXPECT_EQ(reason_of(verify(token.substr(0, last + 1) + sandbox::base64url("short"))), Reason::kTokenSignature);
}

TEST_F(Token, issuer_audience_and_times_are_held_to) {
  EXPECT_EQ(refusal([](Json& c) { c["iss"] = "https://elsewhere"; }), Reason::kTokenIssuer);
  EXPECT_EQ(refusal([](Json& c) { c.erase("iss"); }), Reason::kTokenIssuer);
  EXPECT_EQ(refusal([](Json& c) { c["aud"] = {"api", "istio-cas"}; }), Reason::kTokenAudience);
  EXPECT_EQ(refusal([](Json& c) { c["aud"] = Json::array(); }), Reason::kTokenAudience);
  EXPECT_EQ(refusal([](Json& c) { c.erase("aud"); }), Reason::kTokenAudience);
  const int64_t now = std::chrono::duration_cast<seconds>(now_.time_since_epoch()).count();
  EXPECT_EQ(refusal([&](Json& c) { c["exp"] = now - 11; }), Reason::kTokenExpired);
  EXPECT_EQ(refusal([](Json& c) { c.erase("exp"); }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["exp"] = "tomorrow"; }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["exp"] = 1e300; }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([&](Json& c) { c["nbf"] = now + 11; }), Reason::kTokenNotYetValid);
  EXPECT_EQ(refusal([&](Json& c) { c["iat"] = now + 600; }), Reason::kTokenNotYetValid);
  Json json = claims();
  json["exp"] = now - 5;
  json["nbf"] = now + 5;
  json["aud"] = "istio-ca";
  EXPECT_TRUE(verify(issuer_.sign(json).value()));
}

TEST_F(Token, who_it_speaks_for_must_be_whole) {
  EXPECT_EQ(refusal([](Json& c) { c.erase("kubernetes.io"); }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["kubernetes.io"].erase("pod"); }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["kubernetes.io"]["pod"].erase("uid"); }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["kubernetes.io"]["namespace"] = "a/b"; }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["kubernetes.io"]["serviceaccount"]["name"] = "weft-ca"; }), Reason::kTokenClaims);
  EXPECT_EQ(refusal([](Json& c) { c["sub"] = "system:serviceaccount:weft-system:admin"; }), Reason::kTokenClaims);
}

TEST_F(Token, what_is_no_token_is_refused_before_any_key_is_used) {
  EXPECT_EQ(reason_of(verify("")), Reason::kNoToken);
  const std::string token = issuer_.sign(claims()).value();
  const std::string payload = sandbox::base64url(claims().dump());
  const std::string twice = sandbox::base64url(R"({"alg":"ES256","alg":"none"})");
  const std::string deep = sandbox::base64url("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}");
  for (const std::string& bad :
       {std::string("x"), std::string("."), std::string(".."), std::string("a.b.c.d"), token + ".x", token + "=", " " + token,
        std::string(kMaxToken + 1, 'a'), twice + "." + payload + ".AAAA", deep + "." + payload + ".AAAA",
        with_header({{"alg", "ES256"}, {"crit", {"exp"}}}, claims())})
    EXPECT_EQ(reason_of(verify(bad)), Reason::kTokenMalformed) << bad.substr(0, 80);
  Json huge = claims();
  huge["pad"] = std::string(kMaxToken, 'x');
  EXPECT_EQ(reason_of(verify(issuer_.sign(huge).value())), Reason::kTokenMalformed);
}

TEST(Jwks, broken_sets_are_refused_and_foreign_keys_left_out) {
  test::ScratchDir dir;
  const Json own = Json::parse(sandbox::TokenIssuer::open(dir.path()).value().jwks())["keys"][0];
  const auto set = [](std::vector<Json> keys) { return Json{{"keys", keys}}.dump(); };
  const auto changed = [&](const char* field, const char* value) {
    Json out = own;
    out[field] = value;
    return out;
  };
  EXPECT_EQ(parse_jwks(set({changed("kty", "OKP"), changed("use", "enc"), changed("crv", "P-384"), own})).value()->size(), 1u);
  EXPECT_FALSE(parse_jwks(set({})));
  EXPECT_FALSE(parse_jwks(set({changed("alg", "HS256")})));
  EXPECT_FALSE(parse_jwks(set({own, changed("x", "AAAA")})));
  EXPECT_FALSE(parse_jwks(set({changed("x", own["y"].get<std::string>().c_str())})));  // off the curve
  EXPECT_FALSE(parse_jwks(set(std::vector<Json>(kMaxKeys + 1, own))));
  EXPECT_FALSE(parse_jwks(test::RsaIssuer(1024).jwks()));
  for (const char* bad : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[1]})"}) EXPECT_FALSE(parse_jwks(bad)) << bad;
}

TEST_F(Token, keys_are_read_again_when_their_file_changes_and_kept_when_it_breaks) {
  test::FakeClock clock;
  const std::string file = dir_ / "jwks.json";
  JwksAuthenticator authenticator({.file = file, .rules = rules_}, clock);
  const std::string token = issuer_.sign(claims()).value();
  authenticator.refresh();
  EXPECT_NE(authenticator.problem().find("is not there"), std::string::npos);
  EXPECT_EQ(reason_of(authenticator.authenticate(token, "")), Reason::kNotReady);
  ASSERT_TRUE(write_file(file, issuer_.jwks(), 0644));
  authenticator.refresh();
  EXPECT_TRUE(authenticator.authenticate(token, ""));
  EXPECT_TRUE(authenticator.authenticate(token, "Kubernetes"));
  EXPECT_EQ(reason_of(authenticator.authenticate(token, "other")), Reason::kCluster);
  ASSERT_TRUE(write_file(file, "{", 0644));
  authenticator.refresh();
  EXPECT_NE(authenticator.problem(), "");
  EXPECT_TRUE(authenticator.authenticate(token, ""));
  ASSERT_TRUE(write_file(file, test::RsaIssuer().jwks(), 0644));
  authenticator.refresh();
  EXPECT_EQ(reason_of(authenticator.authenticate(token, "")), Reason::kTokenKey);
  EXPECT_EQ(authenticator.refused(), 2u);
}

}  // namespace
