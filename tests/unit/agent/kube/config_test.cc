// Where the API server is and who we are: kubeconfigs in their forms, refusals, the pod's own files, tokens
// that change.
#include "agent/kube/config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/fake_clock.h"

namespace weft::kube {
namespace {

namespace fs = std::filesystem;

// A folder that goes away with the test.
struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "weft-kube-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
  fs::path path;
};

// Sets a variable for the time of a test.
struct Variable {
  Variable(const char* variable, const std::string& value) : name(variable) {
    if (const char* was = getenv(variable)) before = was;
    value.empty() ? unsetenv(variable) : setenv(variable, value.c_str(), 1);
  }
  ~Variable() { before ? setenv(name, before->c_str(), 1) : unsetenv(name); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  const char* name;
  std::optional<std::string> before;
};

// "-----BEGIN CERTIFICATE-----\n" in base64, with its padding.
constexpr const char* kPem64 = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==";

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return fmt::format(R"(apiVersion: v1
kind: Config
current-context: main
contexts:
- {{name: other, context: {{cluster: nowhere, user: me}}}}
- {{name: main, context: {{cluster: c, user: me, namespace: dev}}}}
clusters:
- name: c
  cluster: {}
users:
- name: me
  user: {}
)",
                     cluster, user);
}

TEST(Kubeconfig, data_fields_are_decoded_and_paths_are_beside_the_file) {
  const auto config = parse_kubeconfig(
      kubeconfig(
          fmt::format(
              "{{server: \"https://10.0.0.1:6443/\", certificate-authority-data: {}, tls-server-name: kube}}",
              kPem64),
          "{client-certificate: pki/me.crt, client-key: /etc/me.key}"),
      "/home-of/config");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->authority.data, "-----BEGIN CERTIFICATE-----\n");
  EXPECT_EQ(config->tls_server_name, "kube");
  EXPECT_EQ(config->certificate.file, "/home-of/pki/me.crt");
  EXPECT_EQ(config->key.file, "/etc/me.key");
  EXPECT_EQ(config->ns, "dev");
  EXPECT_EQ(config->origin, "/home-of/config (context main)");
}

TEST(Kubeconfig, tokens_and_token_files_are_taken) {
  EXPECT_EQ(parse_kubeconfig(kubeconfig("{server: \"https://a\"}", "{token: abc}"), "f")->token, "abc");
  EXPECT_EQ(parse_kubeconfig(kubeconfig("{server: \"https://a\"}", "{tokenFile: t}"), "d/f")->token_file,
            "d/t");
}

TEST(Kubeconfig, what_would_weaken_trust_or_is_not_built_is_refused_with_a_sentence) {
  struct Row {
    const char *cluster, *user, *says;
  };
  const char* good = "{server: \"https://a\"}";
  for (const Row& row : {
           Row{"{server: \"https://a\", insecure-skip-tls-verify: true}", "{}",
               "insecure-skip-tls-verify is not followed"},
           Row{"{server: \"http://a\"}", "{}", "over TLS only"},
           Row{"{server: \"a:6443\"}", "{}", "is no https:// address"},
           Row{"{}", "{}", "the cluster has no server"},
           Row{"{server: \"https://a\", proxy-url: \"http://p\"}", "{}", "proxy-url is not followed"},
           Row{"{server: \"https://a\", certificate-authority-data: \"!\"}", "{}",
               "certificate-authority-data is no base64"},
           Row{"{server: \"https://a\", certificate-authority-data: \"AAAA\"}", "{}", "holds no PEM"},
           Row{good, "{exec: {command: x}}", "exec plugin"},
           Row{good, "{auth-provider: {name: x}}", "auth-provider"},
           Row{good, "{username: a, password: b}", "password"},
           Row{good, "{as: root}", "impersonation (as)"},
           Row{good, "{client-key: x}", "one of them is missing"},
           Row{good, "{token: \"a b\"}", "spaces in it"},
       }) {
    const auto config = parse_kubeconfig(kubeconfig(row.cluster, row.user), "f");
    ASSERT_FALSE(config) << row.says;
    EXPECT_NE(config.error().what.find(row.says), std::string::npos) << config.error().what;
    EXPECT_EQ(config.error().what.find("abc"), std::string::npos) << "no secret is repeated";
  }
}

TEST(Kubeconfig, what_is_missing_is_named) {
  const std::string text = kubeconfig("{server: \"https://a\"}", "{}");
  EXPECT_NE(parse_kubeconfig(text, "f", "nope").error().what.find("no contexts named \"nope\""),
            std::string::npos);
  EXPECT_NE(parse_kubeconfig(text, "f", "other").error().what.find("no clusters named \"nowhere\""),
            std::string::npos);
  EXPECT_NE(parse_kubeconfig("a: [", "f").error().what.find("kubeconfig f:"), std::string::npos);
  EXPECT_FALSE(parse_kubeconfig("", "f"));
  EXPECT_FALSE(parse_kubeconfig("[1]", "f"));
  EXPECT_NE(parse_kubeconfig("a: 1", "f").error().what.find("no current-context"), std::string::npos);
}

TEST(InCluster, the_pods_own_account_is_found) {
  const Folder folder;
  folder.write("token", "abc\n");
  folder.write("ca.crt", "pem");
  folder.write("namespace", "weft-system\n");
  const auto config = in_cluster({.host = "fd00::1", .port = "443", .directory = folder.path.string()});
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->ns, "weft-system");
  EXPECT_EQ(config->authority.file, (folder.path / "ca.crt").string());
  test::FakeClock clock;
  EXPECT_EQ(*TokenSource(*config, clock).current(), "abc");
}

TEST(InCluster, a_pod_without_a_token_is_told_so) {
  const Folder folder;
  const auto config = in_cluster({.host = "10.0.0.1", .port = "443", .directory = folder.path.string()});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, base::ErrorKind::kNotFound);
  EXPECT_NE(config.error().what.find("automountServiceAccountToken"), std::string::npos);
}

TEST(FindConfig, looks_where_kubectl_looks_and_names_the_places) {
  const Folder folder;
  const Variable host("KUBERNETES_SERVICE_HOST", "");
  const Variable home("HOME", folder.path.string());
  const std::string text = kubeconfig("{server: \"https://a\"}", "{}");
  {
    const Variable variable("KUBECONFIG", "/nowhere/x:" + (folder.path / "second").string());
    const auto none = find_config("");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, base::ErrorKind::kNotFound);
    for (const char* place : {"/nowhere/x", "/second", "/.kube/config", "not in a pod", "--kubeconfig"})
      EXPECT_NE(none.error().what.find(place), std::string::npos) << none.error().what;
    folder.write(".kube/config", text);
    EXPECT_EQ(find_config("")->origin, (folder.path / ".kube/config").string() + " (context main)");
    folder.write("second", text);
    EXPECT_EQ(find_config("")->origin, (folder.path / "second").string() + " (context main)");
  }
  EXPECT_FALSE(find_config("/nowhere/y")) << "a flag is never passed over";
}

TEST(TokenSource, a_renewed_file_is_read_within_a_second_and_a_lost_one_leaves_the_last_token) {
  const Folder folder;
  Config config;
  config.token_file = folder.write("token", "one\n");
  test::FakeClock clock;
  TokenSource source(config, clock);
  EXPECT_EQ(*source.current(), "one");
  folder.write("next", "two\n");
  fs::rename(folder.path / "next", folder.path / "token");
  EXPECT_EQ(*source.current(), "one") << "looked at once a second at most";
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(*source.current(), "two");
  fs::remove(folder.path / "token");
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(*source.current(), "two");
}

TEST(TokenSource, a_refused_token_is_looked_for_at_once_and_a_bad_file_is_an_error) {
  const Folder folder;
  Config config;
  config.token_file = (folder.path / "token").string();
  test::FakeClock clock;
  TokenSource source(config, clock);
  EXPECT_EQ(source.current().error().kind, base::ErrorKind::kNotFound);
  folder.write("token", "a b");
  EXPECT_EQ(source.current().error().kind, base::ErrorKind::kInvalid);
  folder.write("token", "good");
  EXPECT_EQ(*source.current(), "good");
  folder.write("token", "new");
  source.refused();
  EXPECT_EQ(*source.current(), "new");
}

}  // namespace
}  // namespace weft::kube
