// The role control as a process of an unprivileged user: asked over TLS, restarted, given files that are wrong.
// No sandbox: objects and tokens are made here.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agent/ca/signer.h"
#include "agent/ca_wire/ca_wire.h"
#include "agent/grpc/client.h"
#include "tests/support/ca_requests.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/test_ca.h"
#include "userspace-proxy/base/address.h"

using namespace weft;

namespace {

constexpr uid_t kUser = 65532;
constexpr const char* kName = "weft-control.weft-system.svc";

std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& account, const std::string& node) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", uid: uid-" + name +
         "}\nspec:\n  nodeName: " + node + "\n  serviceAccountName: " + account +
         "\n  containers: [{name: a, image: a}]\nstatus: {phase: Running}\n";
}

uint16_t free_port() {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_storage storage{};
  const socklen_t size = base::SocketAddress::parse("127.0.0.1:0").value().to_sockaddr(&storage);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  return base::local_address(fd.get()).value().port;
}

class ControlRole : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0u) << "needs root, to become another user";
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((dir_ / "manifests").c_str(), 0755), 0);
    for (const char* name : {"ca", "status"}) {
      ASSERT_EQ(::mkdir((dir_ / name).c_str(), 0700), 0);
      ASSERT_EQ(::chown((dir_ / name).c_str(), kUser, kUser), 0);
    }
    put("jwks.json", issuer_.jwks());
    put("manifests/pods.yaml", pod_yaml("weft-system", "weft-agent-node1", "weft-agent", "node1") + pod_yaml("shop", "cart-1", "cart", "node1") +
                                   pod_yaml("shop", "pay-1", "pay", "node2"));
    start();
  }
  void TearDown() override {
    EXPECT_EQ(stop(), 0);
    if (HasFailure()) std::cerr << text_of("log");
  }
  void put(const std::string& name, const std::string& text) { ASSERT_TRUE(ca::write_file(dir_ / name, text, 0644)); }
  // Files of the CA are control's own.
  void put_ca(const std::string& name, const std::string& text) {
    put("ca/" + name, text);
    ASSERT_EQ(::chown((dir_ / ("ca/" + name)).c_str(), kUser, kUser), 0);
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in(dir_ / name);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void start() {
    const std::string endpoint = "127.0.0.1:" + std::to_string(port_);
    const std::vector<std::string> words = {WEFT_BIN_DIR "/weft-agent", "--role", "control", "--namespace", "weft-system", "--pod", "control-1",
                                            "--manifests", dir_ / "manifests", "--status-dir", dir_ / "status", "--ca-dir", dir_ / "ca",
                                            "--ca-bundle-out", dir_ / "status/bundle.pem", "--ca-listen", endpoint, "--ca-name", kName,
                                            "--token-keys", dir_ / "jwks.json", "--certificate-lifetime", "2m"};
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const std::string log = dir_ / "log";
    // By its descriptor: the other user may not even reach a build directory below root's home.
    const base::Fd program(::open(argv[0], O_RDONLY | O_CLOEXEC));
    process_ = ::fork();
    ASSERT_GE(process_, 0);
    if (process_ != 0) return;
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (::dup2(fd, 2) < 0 || ::setgid(kUser) != 0 || ::setuid(kUser) != 0) _exit(99);
    ::fexecve(program.get(), argv.data(), environ);
    _exit(98);
  }
  int stop() {
    if (process_ <= 0) return 0;
    ::kill(process_, SIGTERM);
    int status = -1;
    ::waitpid(std::exchange(process_, 0), &status, 0);
    return status;
  }
  nlohmann::json report() const {
    return nlohmann::json::parse(text_of("status/Agent.weft-system.control-1.json"), nullptr, false);
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 200; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(base::Millis(50));
    }
    return false;
  }
  bool ready() const {
    return eventually([&] {
      const auto now = report();
      return now.is_object() && now.value("ready", false);
    });
  }
  // As a node's agent whose pod is `pod`.
  grpc::Reply ask(const std::string& account, const std::string& pod, const std::string& identity, const std::string& roots) const {
    const auto claims = sandbox::TokenIssuer::claims({"weft-system", account, pod, "uid-" + pod, "node1"}, "istio-ca",
                                                     std::chrono::system_clock::now(), std::chrono::hours(1));
    ca_wire::CertificateRequest request;
    request.set_csr(test::make_csr(*test::ec_key()));
    (*request.mutable_metadata()->mutable_fields())[std::string(ca_wire::kImpersonatedIdentity)].set_string_value(identity);
    return grpc::call({"127.0.0.1:" + std::to_string(port_), roots, kName},
                      {.path = std::string(ca_wire::kCreateCertificate),
                       .headers = {{"authorization", "Bearer " + issuer_.sign(claims).value()}},
                       .message = request.SerializeAsString()});
  }
  grpc::Reply ask_cart(const std::string& roots) const {
    return ask("weft-agent", "weft-agent-node1", "spiffe://cluster.local/ns/shop/sa/cart", roots);
  }

  test::ScratchDir dir_;
  const sandbox::TokenIssuer issuer_ = sandbox::TokenIssuer::open(dir_ / "tokens").value();
  const uint16_t port_ = free_port();
  pid_t process_ = 0;
};

TEST_F(ControlRole, certifies_the_pods_of_the_callers_node_and_no_others) {
  ASSERT_TRUE(ready()) << report();
  const std::string roots = text_of("status/bundle.pem");
  const auto reply = ask_cart(roots);
  ASSERT_TRUE(reply) << base::describe(reply.error());
  ca_wire::CertificateResponse response;
  ASSERT_TRUE(response.ParseFromString(*reply));
  ASSERT_EQ(response.cert_chain_size(), 2);
  EXPECT_EQ(response.cert_chain(1), roots);
  const auto elsewhere = ask("weft-agent", "weft-agent-node1", "spiffe://cluster.local/ns/shop/sa/pay", roots);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, grpc::Code::kUnavailable) << "it may still come";
  EXPECT_EQ(elsewhere.error().what.find("node"), std::string::npos) << "the reason is the log's";
  ASSERT_TRUE(eventually([&] { return report()["counters"]["refused_not_on_node"] == 1; })) << report();
  EXPECT_EQ(report()["counters"]["certificates_issued"], 1);
  EXPECT_NE(text_of("log").find("no workload shop/pay on node1"), std::string::npos);
  // A pod that comes is known at once.
  put("manifests/more.yaml", pod_yaml("shop", "pay-2", "pay", "node1"));
  EXPECT_TRUE(eventually([&] { return ask("weft-agent", "weft-agent-node1", "spiffe://cluster.local/ns/shop/sa/pay", roots).has_value(); }));
}

TEST_F(ControlRole, has_no_rights_and_shows_its_key_to_nobody) {
  ASSERT_TRUE(ready());
  std::ifstream status("/proc/" + std::to_string(process_) + "/status");
  std::stringstream text;
  text << status.rdbuf();
  EXPECT_NE(text.str().find("CapEff:\t0000000000000000"), std::string::npos);
  struct stat info {};
  ASSERT_EQ(::stat((dir_ / "ca/ca-key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_uid, kUser);
  // Not dumpable: its memory is root's to look into, not its user's.
  ASSERT_EQ(::stat(("/proc/" + std::to_string(process_) + "/mem").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_F(ControlRole, keeps_its_root_over_a_restart) {
  ASSERT_TRUE(ready());
  const std::string roots = text_of("status/bundle.pem");
  ASSERT_EQ(stop(), 0);
  start();
  EXPECT_TRUE(eventually([&] { return ask_cart(roots).has_value(); }));
  EXPECT_EQ(text_of("status/bundle.pem"), roots);
}

TEST_F(ControlRole, follows_a_root_rotation_and_stays_with_the_last_good_files) {
  ASSERT_TRUE(ready());
  const std::string old_root = text_of("status/bundle.pem");
  const test::TestCa next("second root");
  // The wrong order: a signer that nobody's bundle holds.
  const std::string old_key = text_of("ca/ca-key.pem"), old_certificate = text_of("ca/ca-cert.pem");
  put_ca("ca-key.pem", next.key_pem());
  put_ca("ca-cert.pem", next.certificate_pem());
  ASSERT_TRUE(eventually([&] { return report().dump().find("not below any") != std::string::npos; })) << report();
  EXPECT_EQ(report()["ready"], true);
  EXPECT_TRUE(ask_cart(old_root));
  // The right one.
  put_ca("ca-key.pem", old_key);
  put_ca("ca-cert.pem", old_certificate);
  put_ca("root-cert.pem", old_root + next.certificate_pem());
  ASSERT_TRUE(eventually([&] { return text_of("status/bundle.pem").find(next.certificate_pem()) != std::string::npos; }));
  put_ca("ca-key.pem", next.key_pem());
  put_ca("ca-cert.pem", next.certificate_pem());
  // Its own certificate follows the signer, so who knows the new root alone is served.
  EXPECT_TRUE(eventually([&] { return ask_cart(next.certificate_pem()).has_value(); }));
  put_ca("root-cert.pem", next.certificate_pem());
  EXPECT_TRUE(eventually([&] { return text_of("status/bundle.pem") == next.certificate_pem(); }));
}

}  // namespace
