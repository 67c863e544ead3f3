#include "agent/sandbox/tokens.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sandbox/files.h"
#include "agent/sandbox/token_files.h"
#include "tests/support/scratch_dir.h"
#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;
using weft::test::ScratchDir;

const system_clock::time_point kNow{seconds(1'800'000'000)};

std::string decoded(std::string_view text) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    held = held << 6 | static_cast<uint32_t>(kLetters.find(c));
    if ((bits += 6) >= 8) out += static_cast<char>(held >> (bits -= 8) & 255);
  }
  return out;
}

struct Parts {
  Json header, claims;
  std::string text, signature;
};

Parts parts_of(const std::string& token) {
  const size_t first = token.find('.'), second = token.rfind('.');
  return {parse_json(decoded(token.substr(0, first))).value_or(Json()),
          parse_json(decoded(token.substr(first + 1, second - first - 1))).value_or(Json()), token.substr(0, second),
          decoded(token.substr(second + 1))};
}

// Verifies with nothing but the JWKS, as a CA does.
bool verifies(const std::string& jwks, const Parts& parts) {
  const Json key = at(*parse_json(jwks), "keys.0");
  if (parts.signature.size() != 64) return false;
  const std::string point = "\x04" + decoded(text_at(key, "x")) + decoded(text_at(key, "y"));
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>("P-256"), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<char*>(point.data()), point.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* public_key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY_fromdata_init(context);
  EVP_PKEY_fromdata(context, &public_key, EVP_PKEY_PUBLIC_KEY, params);
  EVP_PKEY_CTX_free(context);
  ECDSA_SIG* signature = ECDSA_SIG_new();
  const auto* raw = reinterpret_cast<const unsigned char*>(parts.signature.data());
  ECDSA_SIG_set0(signature, BN_bin2bn(raw, 32, nullptr), BN_bin2bn(raw + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature, &der);
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(digest, nullptr, EVP_sha256(), nullptr, public_key);
  const bool good = EVP_DigestVerify(digest, der, static_cast<size_t>(size),
                                     reinterpret_cast<const unsigned char*>(parts.text.data()), parts.text.size()) == 1;
  EVP_MD_CTX_free(digest);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  EVP_PKEY_free(public_key);
  return good;
}

Json pod_with_token(int64_t user, int64_t life = 3600) {
  Json with = pod("a", "node1");
  with["spec"]["serviceAccountName"] = "weft-agent";
  with["spec"]["containers"] = Json::array(
      {{{"name", "other"}, {"securityContext", {{"runAsUser", user + 1}}}},
       {{"name", "mine"},
        {"securityContext", {{"runAsUser", user}}},
        {"volumeMounts", Json::array({{{"name", "token"}, {"mountPath", "/run/secrets/tokens"}}})}}});
  with["spec"]["volumes"] = Json::array(
      {{{"name", "run"}, {"emptyDir", Json::object()}},
       {{"name", "token"},
        {"projected",
         {{"sources", Json::array({{{"serviceAccountToken",
                                     {{"audience", "istio-ca"}, {"expirationSeconds", life}, {"path", "istio-token"}}}}})}}}}});
  return with;
}

unsigned mode_of(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

TEST(Tokens, a_token_verifies_with_the_public_keys_alone_and_a_changed_one_does_not) {
  const ScratchDir dir;
  const auto issuer = TokenIssuer::open(dir / "tokens");
  ASSERT_TRUE(issuer) << base::describe(issuer.error());
  const auto token = issuer->sign(TokenIssuer::claims(subject_of(pod_with_token(7)), "istio-ca", kNow, kTokenLife));
  ASSERT_TRUE(token);
  Parts parts = parts_of(*token);
  EXPECT_EQ(text_at(parts.header, "alg"), "ES256");
  EXPECT_EQ(text_at(parts.header, "kid"), issuer->key_id());
  EXPECT_EQ(text_at(*parse_json(issuer->jwks()), "keys.0.kid"), issuer->key_id());
  EXPECT_TRUE(verifies(issuer->jwks(), parts));
  parts.text.back() = parts.text.back() == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verifies(issuer->jwks(), parts));
}

TEST(Tokens, claims_bind_a_token_to_its_account_pod_and_node_for_one_hour) {
  const Json claims = TokenIssuer::claims(subject_of(pod_with_token(7)), "istio-ca", kNow, kTokenLife);
  EXPECT_EQ(text_at(claims, "iss"), "https://kubernetes.default.svc.cluster.local");
  EXPECT_EQ(text_at(claims, "sub"), "system:serviceaccount:dev:weft-agent");
  EXPECT_EQ(at(claims, "aud"), Json::array({"istio-ca"}));
  EXPECT_EQ(int_at(claims, "iat"), 1'800'000'000);
  EXPECT_EQ(int_at(claims, "nbf"), 1'800'000'000);
  EXPECT_EQ(int_at(claims, "exp"), 1'800'003'600);
  const Json& bound = claims["kubernetes.io"];
  EXPECT_EQ(text_at(bound, "namespace"), "dev");
  EXPECT_EQ(text_at(bound, "serviceaccount.name"), "weft-agent");
  EXPECT_EQ(text_at(bound, "serviceaccount.uid"), service_account_uid("dev", "weft-agent"));
  EXPECT_NE(service_account_uid("dev", "weft-agent"), service_account_uid("dev", "weft-agents"));
  EXPECT_EQ(text_at(bound, "pod.name"), "a");
  EXPECT_EQ(text_at(bound, "pod.uid"), "uid-a");
  EXPECT_EQ(text_at(bound, "node.name"), "node1");
  EXPECT_EQ(text_at(bound, "node.uid"), "node-node1");
}

TEST(Tokens, a_pod_without_an_account_speaks_for_the_default_one) {
  EXPECT_EQ(subject_of(pod("a", "node1")).service_account, "default");
}

TEST(Tokens, the_key_outlives_the_daemon_and_only_its_owner_reads_it) {
  const ScratchDir dir;
  const auto first = TokenIssuer::open(dir / "tokens");
  const auto second = TokenIssuer::open(dir / "tokens");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->jwks(), second->jwks());
  EXPECT_EQ(mode_of(dir / "tokens/key.pem"), 0600u);
  EXPECT_EQ(mode_of(dir / "tokens"), 0700u);
}

TEST(Tokens, a_damaged_key_is_an_error_and_is_not_replaced) {
  const ScratchDir dir;
  ASSERT_TRUE(make_directories(dir / "tokens"));
  ASSERT_TRUE(write_file(dir / "tokens/key.pem", "no key"));
  const auto issuer = TokenIssuer::open(dir / "tokens");
  ASSERT_FALSE(issuer);
  EXPECT_EQ(read_file(dir / "tokens/key.pem").value_or(""), "no key");
}

TEST(TokenFiles, a_projected_source_says_audience_life_and_owner) {
  const auto files = token_files(pod_with_token(65532));
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ(files->front().volume, "token");
  EXPECT_EQ(files->front().path, "istio-token");
  EXPECT_EQ(files->front().audience, "istio-ca");
  EXPECT_EQ(files->front().life, seconds(3600));
  EXPECT_EQ(files->front().owner, 65532u);
}

TEST(TokenFiles, a_path_out_of_the_volume_and_other_sources_are_refused) {
  Json with = pod_with_token(7);
  Json& source = with["spec"]["volumes"][1]["projected"]["sources"][0];
  for (const char* path : {"../x", "a/b", "", ".hidden"}) {
    source["serviceAccountToken"]["path"] = path;
    EXPECT_FALSE(token_files(with)) << path;
  }
  source = {{"configMap", {{"name", "x"}}}};
  EXPECT_FALSE(token_files(with));
}

TEST(TokenFiles, a_life_below_the_servers_bound_is_raised) {
  EXPECT_EQ(token_files(pod_with_token(7, 5))->front().life, seconds(600));
}

TEST(TokenFiles, tokens_are_written_for_their_user_alone_and_renewed_at_80_percent) {
  const ScratchDir dir;
  const auto issuer = TokenIssuer::open(dir / "tokens");
  ASSERT_TRUE(issuer);
  const uid_t me = ::geteuid();
  const auto renew = write_tokens(dir / "volumes", *issuer, pod_with_token(me), kNow);
  ASSERT_TRUE(renew) << base::describe(renew.error());
  EXPECT_EQ(*renew, seconds(2880));
  const std::string file = dir / "volumes/token/istio-token";
  EXPECT_EQ(mode_of(file), 0600u);
  EXPECT_EQ(mode_of(dir / "volumes/token"), 0700u);
  const auto first = read_file(file);
  ASSERT_TRUE(first);
  EXPECT_TRUE(verifies(issuer->jwks(), parts_of(*first)));
  ASSERT_TRUE(write_tokens(dir / "volumes", *issuer, pod_with_token(me), kNow + seconds(2880)));
  EXPECT_EQ(int_at(parts_of(read_file(file).value_or("")).claims, "exp"), 1'800'003'600 + 2880);
}

TEST(TokenFiles, a_pod_without_projected_volumes_gets_nothing) {
  const ScratchDir dir;
  const auto issuer = TokenIssuer::open(dir / "tokens");
  ASSERT_TRUE(issuer);
  const auto renew = write_tokens(dir / "volumes", *issuer, pod("a", "node1"), kNow);
  ASSERT_TRUE(renew);
  EXPECT_FALSE(renew->has_value());
}

}  // namespace
}  // namespace weft::sandbox::test
