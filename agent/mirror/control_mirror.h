#pragma once
// What control keeps at the API server: the CA's Secret, and the roots as a ConfigMap for everybody.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/mirror/ca_secret.h"

namespace weft::mirror {

struct ControlMirrorOptions {
  CaSecretOptions secret;
  std::string config_map = "weft-ca-root", key = "root-cert.pem";
  std::vector<std::string> namespaces = {"weft-system", "istio-system"};
  base::Nanos look_every = std::chrono::seconds(5);
  base::Nanos write_every = std::chrono::minutes(5);  // also without a change: somebody may have edited it
};

struct ControlMirrorCounters {
  std::atomic<uint64_t> secret_changes{0}, secret_failures{0}, bundles_written{0}, bundle_failures{0};
};

// A thread that looks at the Secret and, while `leads` says so, writes the ConfigMaps. Owner: the control role; the
// destructor stops and joins, within the client's deadline or at once after Client::stop().
class ControlMirror {
 public:
  ControlMirror(kube::Client& client, const base::Clock& clock, ControlMirrorOptions options, std::function<bool()> leads);
  ~ControlMirror();
  ControlMirror(const ControlMirror&) = delete;
  ControlMirror& operator=(const ControlMirror&) = delete;

  // Blocking, before start(): see CaSecret.
  base::Status open() { return secret_.open(clock_.wall_now()); }
  void start();
  void stop();
  // Any thread: the roots in force. Empty: nothing is written.
  void set_bundle(std::string pem);
  // Any thread: why Secret or ConfigMaps are not as they should be; empty: they are.
  [[nodiscard]] std::string problem() const;
  [[nodiscard]] const ControlMirrorCounters& counters() const { return counters_; }

 private:
  struct Written {
    std::string bundle;
    base::Instant at{};
  };
  void run();
  [[nodiscard]] std::string look_at_secret();
  [[nodiscard]] std::string write_bundles(const std::string& bundle);
  base::Status write_bundle(const std::string& ns, const std::string& bundle);

  kube::Client& client_;
  const base::Clock& clock_;
  const ControlMirrorOptions options_;
  const std::function<bool()> leads_;
  CaSecret secret_;                          // the thread's, once it runs
  std::map<std::string, Written> written_;   // by namespace; the thread's
  ControlMirrorCounters counters_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::string bundle_, problem_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::mirror
