#pragma once
// The cluster of the tests of identity: one for all of them, brought up by the first, taken down after the last.
//
//   node1: mesh/client  mesh/near  plain/outsider        certificates live a minute
//   node2: mesh/peer    mesh/far   plain/server
//
// Each pod of `mesh` has a service account of its own name. All serve HTTP on 8888 and echo TCP on 7000.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/wire.h"

namespace weft::test {

// A connection that stays silent until somebody ends it.
struct Held {
  nlohmann::json outcome;
  std::chrono::steady_clock::time_point ended;
};

// How requests of one run ended: "200", "000 reset..." -> how often.
using Ends = std::map<std::string, int>;
[[nodiscard]] int failures_in(const Ends& ends);  // other than 200

class IdentityTest : public testing::Test {
 public:
  static void take_down() { cluster_.reset(); }

 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  // Removes what the test applied.
  void TearDown() override;

  [[nodiscard]] static Cluster& cluster() { return *cluster_; }
  static std::string address(const std::string& ns, const std::string& pod);
  static std::string spiffe(const std::string& account) { return "spiffe://cluster.local/ns/mesh/sa/" + account; }

  // An object of the mesh, removed at the end of the test.
  void policy(const std::string& kind, const std::string& name, const std::string& spec,
              const std::string& ns = "mesh");
  void remove_policy(const std::string& kind, const std::string& name, const std::string& ns = "mesh");

  // One connection that sends and wants its bytes back.
  static nlohmann::json call(const std::string& from_ns, const std::string& from, const std::string& to,
                             int port = 7000, int seconds = 5);
  static bool works(const std::string& from_ns, const std::string& from, const std::string& to);
  // Ended by the mesh, at once, without a byte of an answer.
  static bool is_refused(const nlohmann::json& outcome);
  static std::future<Held> held(const std::string& to, int seconds);
  // `rate` requests a second for `seconds`, each with `marker` in its body; `more`: options for curl.
  static std::future<Ends> load(const std::string& to, int seconds, int rate, const std::string& marker,
                                std::vector<std::string> more = {});

  static void access_log(bool on);
  // What agents and proxies of both nodes have printed.
  static std::string everything_said();
  static bool said(const std::string& words) { return everything_said().find(words) != std::string::npos; }
  static uint64_t metric(const std::string& node, const std::string& name, const std::vector<std::string>& labels = {});
  // Between the nodes: what leaves and enters node1.
  static std::unique_ptr<Wire> wire_between_nodes(std::vector<std::string> needles);
  static std::string control_pod();
  static std::string state_file(const std::string& name) { return "/run/weft/sandbox/" + cluster_->name() + "/" + name; }
  // weftctl cert words...
  static Answer certificates(std::vector<std::string> words);

 private:
  static std::unique_ptr<Cluster> cluster_;
  struct Applied {
    std::string kind, name, ns;
  };
  std::vector<Applied> applied_;
};

}  // namespace weft::test
