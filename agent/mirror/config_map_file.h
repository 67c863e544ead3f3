#pragma once
// One key of a ConfigMap as a file: how the roots of the mesh reach agents that read them from a file.
#include <atomic>
#include <mutex>
#include <string>

#include "agent/kube/reflector.h"

namespace weft::mirror {

struct ConfigMapKey {
  std::string ns, name, key;
};

struct ConfigMapCounters {
  std::atomic<uint64_t> written{0};   // contents that reached the file
  std::atomic<uint64_t> refused{0};   // the ConfigMap lacks the key, or has nothing or too much there
  std::atomic<uint64_t> failures{0};  // of writing
};

// Told of the ConfigMap by a reflector, in its thread. What is not there (any more) leaves the file as it was: who
// believes its roots goes on believing them. Owner: a role; outlives the Reflectors.
class ConfigMapFile final : public kube::ReflectorSink {
 public:
  ConfigMapFile(ConfigMapKey source, std::string path) : source_(std::move(source)), path_(std::move(path)) {}

  [[nodiscard]] kube::ReflectorSpec spec() const;
  // Any thread: why the file is not what the ConfigMap says; empty: it is.
  [[nodiscard]] std::string problem() const;
  [[nodiscard]] const ConfigMapCounters& counters() const { return counters_; }

  void on_object(objects::Node object) override;
  void on_gone(const kube::ObjectName& name) override;
  void on_synced() override;
  void on_state(const kube::ReflectorState& state) override;

 private:
  void say(std::string problem);
  [[nodiscard]] std::string described() const { return "ConfigMap " + source_.ns + "/" + source_.name; }

  const ConfigMapKey source_;
  const std::string path_;
  std::string content_;  // as last written
  bool there_ = false;
  ConfigMapCounters counters_;
  mutable std::mutex mutex_;  // guards problem_
  std::string problem_ = "the API server was not asked yet";
};

}  // namespace weft::mirror
