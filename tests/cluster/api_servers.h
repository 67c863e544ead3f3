#pragma once
// A store and two API servers over it, real ones, in network and mount namespaces of this process's own: no
// node, no controller. What one server misses while it is down, the other can bring about.
#include <memory>
#include <string>

#include "agent/kube/config.h"
#include "tests/support/command.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {

// Needs root, openssl, ip and Kubernetes' programs (WEFT_KUBE_HOME, see scripts/cluster build). Owner: the
// test program; all ends with it.
class ApiServers {
 public:
  static constexpr int kFirst = 6443, kSecond = 6444;
  // In the certificate: DNS:kubernetes, IP:127.0.0.1. The servers listen on this address as well.
  static constexpr const char* kUnnamedAddress = "10.99.0.1";

  // Moves this process into namespaces of its own; up when both servers are ready. Says why not by failing
  // the test.
  ApiServers();

  [[nodiscard]] std::string kubeconfig(int port, const std::string& host = "127.0.0.1",
                                       const std::string& more = "") const;
  [[nodiscard]] kube::Config config(int port) const;
  void start(int port);
  void kill(int port);             // SIGKILL
  void freeze(int port, bool on);  // SIGSTOP, SIGCONT
  [[nodiscard]] bool ready(int port) const;
  [[nodiscard]] std::string ca_file() const { return dir_ / "ca.crt"; }

 private:
  void up();
  void make_certificates() const;
  std::unique_ptr<Background>& slot(int port) { return port == kFirst ? first_ : second_; }

  ScratchDir dir_;
  std::string home_;
  std::unique_ptr<Background> etcd_, first_, second_;
};

}  // namespace weft::test
