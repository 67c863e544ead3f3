// Against the openssl command's own client and server, over TCP on loopback.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fstream>
#include <thread>

#include "tests/support/command.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/tls_rig.h"
#include "tests/unit/proxy/tls/raw_peer.h"

namespace weft::tls {
namespace {

using test::has;
using test::Shaken;
using test::Sink;

struct OpensslToolTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    node = std::make_unique<test::TlsNode>(clock);
    node->contexts->set_bundle(test::bundle_of(ca.certificate_pem(), 1)).value();
    node->contexts->set(test::credential_of(ca.issue({.uris = {ours.to_string()}}), ours)).value();
    const auto issued = ca.issue({.uris = {theirs.to_string()}});
    save("leaf.pem", issued.certificate_pem);
    save("key.pem", issued.key_pem);
    save("root.pem", ca.certificate_pem());
    listener = base::Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    place = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  void save(const std::string& name, const std::string& text) { std::ofstream(dir / name) << text; }
  std::vector<std::string> command(std::vector<std::string> words) {
    std::vector<std::string> all = {"openssl", words[0], "-cert",   dir / "leaf.pem", "-key", dir / "key.pem",
                                    "-CAfile", dir / "root.pem", "-alpn", "h2"};
    all.insert(all.end(), words.begin() + 1, words.end());
    return all;
  }
  // Turns the loop until `condition` holds; false after ten seconds.
  bool wait(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      loop->turn(10);
    }
    return false;
  }
  // What s_client says when it talks to our server and stdin ends at once.
  test::Answer ask(std::vector<std::string> more, Shaken& shaken) {
    EXPECT_EQ(listen(listener.get(), 4), 0);
    std::vector<std::string> words = {"s_client", "-connect", place};
    words.insert(words.end(), more.begin(), more.end());
    test::Answer answer;
    std::atomic<bool> over = false;
    std::thread tool([&] {
      answer = test::run(command(words), std::chrono::seconds(20));
      over = true;
    });
    base::Fd accepted;
    wait([&] {
      accepted = base::Fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
      return accepted.valid();
    });
    auto made = Handshake::start(*loop, *node->contexts, std::make_unique<base::TcpTransport>(std::move(accepted)),
                                 {.role = Role::kServer, .identity = ours}, shaken);
    shaken.handshake = std::move(*made);
    EXPECT_TRUE(wait([&] { return shaken.done(); }));
    std::unique_ptr<Sink> sink;
    if (shaken.good()) {
      sink = std::make_unique<Sink>(*loop, *shaken.value().transport);
      sink->send("greetings from weft\n");
      shaken.value().transport->shutdown_write();
    }
    wait([&] { return over.load(); });
    tool.join();
    return answer;
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop;
  test::TestCa ca;
  test::ScratchDir dir;
  std::unique_ptr<test::TlsNode> node;
  model::SpiffeId ours = test::spiffe("spiffe://cluster.local/ns/shop/sa/ours");
  model::SpiffeId theirs = test::spiffe("spiffe://cluster.local/ns/shop/sa/theirs");
  base::Fd listener;
  sockaddr_in address{.sin_family = AF_INET};
  std::string place;
};

TEST_F(OpensslToolTest, s_client_is_served) {
  Shaken shaken;
  const auto answer = ask({"-ign_eof"}, shaken);
  ASSERT_TRUE(shaken.good()) << shaken.text();
  EXPECT_EQ(shaken.value().peer.id, theirs);
  EXPECT_TRUE(has(answer.out, "greetings from weft"));
  EXPECT_TRUE(has(answer.out, "ALPN protocol: h2"));
  EXPECT_TRUE(has(answer.out, "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"));
  EXPECT_TRUE(has(answer.out, "Verify return code: 0 (ok)"));
}

TEST_F(OpensslToolTest, s_client_with_tls_1_2_or_chacha_only_is_told_so) {
  Shaken old, chacha;
  EXPECT_TRUE(has(ask({"-tls1_2"}, old).err, "alert protocol version"));
  EXPECT_EQ(old.error().kind, base::ErrorKind::kInvalid);
  EXPECT_TRUE(has(ask({"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, chacha).err, "alert handshake failure"));
  EXPECT_EQ(chacha.error().kind, base::ErrorKind::kInvalid);
}

TEST_F(OpensslToolTest, s_server_is_asked) {
  listener.reset();
  const auto words = command({"s_server", "-accept", place, "-Verify", "1", "-verify_return_error", "-rev", "-quiet"});
  const pid_t server = fork();
  if (server == 0) {
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, 0), dup2(nowhere, 1), dup2(nowhere, 2);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  base::Fd fd;
  const bool up = test::eventually([&] {
    fd = base::Fd(socket(AF_INET, SOCK_STREAM, 0));
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  });
  if (up) {
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    Shaken shaken;
    shaken.handshake =
        *Handshake::start(*loop, *node->contexts, std::make_unique<base::TcpTransport>(std::move(fd)),
                          {.role = Role::kClient, .identity = ours, .expected = {theirs}}, shaken);
    EXPECT_TRUE(wait([&] { return shaken.done(); }));
    EXPECT_EQ(shaken.text(), "good");
    if (shaken.good()) {
      EXPECT_EQ(shaken.value().peer.id, theirs);
      Sink sink(*loop, *shaken.value().transport);
      sink.send("hello\n");
      EXPECT_TRUE(wait([&] { return sink.got == "olleh\n"; })) << sink.got << sink.error;
    }
  }
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  EXPECT_TRUE(up);
}

}  // namespace
}  // namespace weft::tls
