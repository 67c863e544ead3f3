#include "tests/cluster/api_servers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

namespace weft::test {
namespace {

using namespace std::chrono_literals;

void must(const std::vector<std::string>& words) {
  const Answer answer = run(words, 60s);
  ASSERT_TRUE(answer.ok()) << fmt::format("{}: {}{}", fmt::join(words, " "), answer.out, answer.err);
}

}  // namespace

ApiServers::ApiServers() {
  up();
}

void ApiServers::up() {
  const char* home = std::getenv("WEFT_KUBE_HOME");
  home_ = home ? home : "";
  ASSERT_FALSE(home_.empty())
      << "WEFT_KUBE_HOME must name the folder of Kubernetes' programs: scripts/cluster build";
  ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << "needs root";
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  must({"ip", "link", "set", "lo", "up"});
  must({"ip", "addr", "add", std::string(kUnnamedAddress) + "/32", "dev", "lo"});
  make_certificates();
  etcd_ = std::make_unique<Background>(
      std::vector<std::string>{home_ + "/etcd", "--unsafe-no-fsync", "--log-level", "error", "--data-dir",
                               dir_ / "etcd", "--listen-peer-urls", "http://127.0.0.1:2380"},
      dir_ / "etcd.log");
  start(kFirst);
  ASSERT_TRUE(eventually([this] { return ready(kFirst); }, 60s)) << first_->said();
  start(kSecond);
  ASSERT_TRUE(eventually([this] { return ready(kSecond); }, 60s)) << second_->said();
}

void ApiServers::make_certificates() const {
  const std::string script = R"(
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
  -keyout ca.key -out ca.crt
openssl genrsa -out accounts.key 2048
sign() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "$2" \
    -CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth \
    -addext "subjectAltName=$3" -keyout "$1.key" -out "$1.crt"
}
sign server /CN=kube-apiserver DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1
sign admin /O=system:masters/CN=admin DNS:admin
)";
  must({"bash", "-euc", script, "certificates", dir_.path()});
}

void ApiServers::start(int port) {
  const auto file = [&](const std::string& name) { return dir_ / name; };
  slot(port) =
      std::make_unique<Background>(std::vector<std::string>{home_ + "/kube-apiserver",
                                                            "--etcd-servers",
                                                            "http://127.0.0.1:2379",
                                                            "--secure-port",
                                                            std::to_string(port),
                                                            "--advertise-address",
                                                            kUnnamedAddress,
                                                            "--endpoint-reconciler-type",
                                                            "none",
                                                            "--service-cluster-ip-range",
                                                            "10.96.0.0/16",
                                                            "--authorization-mode",
                                                            "RBAC",
                                                            "--disable-admission-plugins",
                                                            "ServiceAccount",
                                                            "--client-ca-file",
                                                            file("ca.crt"),
                                                            "--tls-cert-file",
                                                            file("server.crt"),
                                                            "--tls-private-key-file",
                                                            file("server.key"),
                                                            "--service-account-issuer",
                                                            "https://kubernetes.default.svc.cluster.local",
                                                            "--service-account-key-file",
                                                            file("accounts.key"),
                                                            "--service-account-signing-key-file",
                                                            file("accounts.key")},
                                   dir_ / fmt::format("apiserver-{}.log", port));
}

void ApiServers::kill(int port) {
  slot(port)->signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return !slot(port)->running(); }));
  slot(port).reset();
}

void ApiServers::freeze(int port, bool on) {
  slot(port)->signal(on ? SIGSTOP : SIGCONT);
}

bool ApiServers::ready(int port) const {
  return run({"curl", "-sf", "-m", "2", "-o", "/dev/null", "--cacert", ca_file(),
              fmt::format("https://127.0.0.1:{}/readyz", port)},
             5s)
      .ok();
}

std::string ApiServers::kubeconfig(int port, const std::string& host, const std::string& more) const {
  return fmt::format(R"(apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: "https://{}:{}", certificate-authority: ca.crt{}}}}}]
users: [{{name: admin, user: {{client-certificate: admin.crt, client-key: admin.key}}}}]
)",
                     host, port, more);
}

kube::Config ApiServers::config(int port) const {
  auto out = kube::parse_kubeconfig(kubeconfig(port), dir_ / "config");
  CHECK(out.has_value());
  return *out;
}

}  // namespace weft::test
