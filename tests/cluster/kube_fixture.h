#pragma once
// What the tests of agent/kube against real API servers share.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "agent/kube/client.h"
#include "agent/kube/reflector.h"
#include "agent/parse/json.h"
#include "tests/cluster/api_servers.h"
#include "userspace-proxy/base/clock.h"

namespace weft::kube {

// Made by the first who asks, gone with the program.
test::ApiServers& servers();

inline objects::Node json(const std::string& text) {
  auto node = parse::read_json(text);
  CHECK(node.has_value());
  return *std::move(node);
}
inline Resource resource(const char* api_version, const char* kind) {
  return *known_resource(api_version, kind);
}
inline objects::Node config_map(const std::string& name, const std::string& value,
                                const std::string& ns = "default") {
  return json(fmt::format(
      R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}","namespace":"{}",
          "labels":{{"of":"test"}}}},"data":{{"k":"{}"}}}})",
      name, ns, value));
}

struct KubeTest : ::testing::Test {
  KubeTest() : servers_(servers()) {}
  std::unique_ptr<Client> client(int port = test::ApiServers::kFirst) {
    auto made = Client::create(servers_.config(port), clock);
    CHECK(made.has_value());
    return *std::move(made);
  }
  // Makes a namespace of this test's own, so that none sees the objects of another.
  void make_namespace(const std::string& name) {
    const auto made = client()->create_object(
        resource("v1", "Namespace"), "",
        json(fmt::format(R"({{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{}"}}}})", name)));
    ASSERT_TRUE(made) << made.error().what;
  }
  base::SystemClock clock;
  test::ApiServers& servers_;
};

// Keeps what a reflector tells; read by the test's thread.
class Mirror final : public ReflectorSink {
 public:
  void on_object(objects::Node object) override {
    const std::lock_guard lock(mutex_);
    ++told_;
    objects_[name_of(object).name] = object.at({"data", "k"}).as_string();
  }
  void on_gone(const ObjectName& name) override {
    const std::lock_guard lock(mutex_);
    ++told_;
    objects_.erase(name.name);
  }
  void on_synced() override { ++synced_; }
  void on_state(const ReflectorState& state) override {
    const std::lock_guard lock(mutex_);
    state_ = state;
  }
  [[nodiscard]] std::map<std::string, std::string> objects() const {
    const std::lock_guard lock(mutex_);
    return objects_;
  }
  [[nodiscard]] ReflectorState state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  [[nodiscard]] int synced() const { return synced_; }
  [[nodiscard]] uint64_t told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  mutable std::mutex mutex_;  // guards all but synced_
  std::map<std::string, std::string> objects_;
  ReflectorState state_;
  uint64_t told_ = 0;
  std::atomic<int> synced_{0};
};

}  // namespace weft::kube
