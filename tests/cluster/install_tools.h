#pragma once
// Words of the installer's tests on a cluster. Environment:
//   WEFT_KUBECONFIG  an admin's kubeconfig
//   WEFT_KUBECTL     the real kubectl
//   WEFT_IMAGE       weft's image as the nodes can pull it; weft.local/weft:dev if it is not said
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/scratch_dir.h"

namespace weft::install {

using test::Answer;

inline std::string env(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

inline Answer try_kubectl(std::vector<std::string> words) {
  words.insert(words.begin(), {env("WEFT_KUBECTL", "kubectl"), "--kubeconfig", env("WEFT_KUBECONFIG")});
  return test::run(words, std::chrono::seconds(180));
}

inline std::string kubectl(const std::vector<std::string>& words) {
  const Answer answer = try_kubectl(words);
  EXPECT_TRUE(answer.ok()) << words.front() << ": " << answer.err << answer.out;
  return answer.out;
}

inline std::string image() {
  return env("WEFT_IMAGE", "weft.local/weft:dev");
}

// The programs under test, under their own name and under Istio's.
class Tools {
 public:
  Tools() { std::filesystem::create_symlink(std::string(WEFT_BIN_DIR) + "/weftctl", dir_ / "istioctl"); }
  [[nodiscard]] Answer weftctl(std::vector<std::string> words, std::chrono::seconds limit = std::chrono::seconds(120)) const {
    return call(std::string(WEFT_BIN_DIR) + "/weftctl", std::move(words), limit);
  }
  [[nodiscard]] Answer istioctl(std::vector<std::string> words) const {
    return call(dir_ / "istioctl", std::move(words), std::chrono::seconds(120));
  }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }

 private:
  static Answer call(const std::string& program, std::vector<std::string> words, std::chrono::seconds limit) {
    words.insert(words.begin(), {"env", "KUBECONFIG=" + env("WEFT_KUBECONFIG"), program});
    return test::run(words, limit);
  }
  test::ScratchDir dir_;
};

// Everything of an installation but the definitions, without a question to weft's own code. A definition that is removed
// seconds after it was made keeps the API server busy for minutes ("storage is (re)initializing").
inline void remove_all() {
  const std::string ours = "app.kubernetes.io/part-of=weft";
  for (const char* kind : {"clusterrole", "clusterrolebinding"}) kubectl({"delete", kind, "-l", ours, "--ignore-not-found"});
  kubectl({"delete", "namespace", "weft-system", "istio-system", "dev", "--ignore-not-found"});
}

}  // namespace weft::install
