// The processes of a running installation against what each part may have: not what was asked for, but what
// the kernel says.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/cluster/mesh_lab.h"
#include "tests/support/part_rights.h"

namespace weft::test {
namespace {

// Numbers of capabilities(7) that the table names.
const std::map<std::string, int> kBits = {{"NET_ADMIN", 12}, {"SYS_ADMIN", 21}, {"BPF", 39}};

uint64_t mask_of(const std::set<std::string>& capabilities) {
  uint64_t mask = 0;
  for (const std::string& name : capabilities) mask |= 1ULL << kBits.at(name);
  return mask;
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The word behind "Name:" in /proc/PID/status.
std::string status_of(const std::string& proc, const std::string& name) {
  std::istringstream lines(text_of(proc + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + ":")) continue;
    std::istringstream words(line.substr(name.size() + 1));
    std::string word;
    words >> word;
    return word;
  }
  return "";
}

bool root_is_read_only(const std::string& proc) {
  std::istringstream lines(text_of(proc + "/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, place, options;
    words >> id >> parent >> device >> root >> place >> options;
    if (place == "/") return options.starts_with("ro");
  }
  return false;
}

void expect_rights(const std::string& proc, const PartRights& wanted) {
  SCOPED_TRACE(wanted.workload + " " + wanted.container + " " + proc);
  const uint64_t mask = mask_of(wanted.capabilities);
  EXPECT_EQ(std::stoull("0" + status_of(proc, "CapBnd"), nullptr, 16), mask);
  EXPECT_EQ(std::stoull("0" + status_of(proc, "CapEff"), nullptr, 16), mask);
  EXPECT_EQ(std::stoull("0" + status_of(proc, "CapAmb"), nullptr, 16), 0u);
  EXPECT_EQ(status_of(proc, "NoNewPrivs"), "1");
  EXPECT_EQ(status_of(proc, "Seccomp"), "2") << "a filter";
  EXPECT_EQ(status_of(proc, "Uid"), std::to_string(wanted.user));
  EXPECT_TRUE(root_is_read_only(proc));
  const std::string token = proc +
                            "/root"
                            "/var/run/secrets/kubernetes.io/serviceaccount/token";
  EXPECT_EQ(std::filesystem::exists(token), wanted.api_token);
}

class RightsTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_seed());
  }
};

TEST_F(RightsTest, every_process_has_exactly_the_rights_of_the_table) {
  for (const PartRights& part : part_rights()) {
    const std::string program = part.container == "weft-proxy" ? "weft-proxy" : "weft-agent";
    size_t seen = 0;
    for (const auto& pod : lab().ready_pods(part.ns, "app=" + part.workload)) {
      for (const std::string& proc : processes_in(pod["metadata"]["uid"], program)) {
        expect_rights(proc, part);
        ++seen;
      }
    }
    EXPECT_GE(seen, 1u) << part.workload << " " << part.container << " does not run";
  }
}

}  // namespace
}  // namespace weft::test
