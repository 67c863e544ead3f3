#include "agent/state/status_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tests/support/scratch_dir.h"

namespace weft::state {
namespace {

namespace fs = std::filesystem;

ObjectStatus status(const std::string& name, const std::string& message) {
  return {{"VirtualService", "dev", name}, 1, "a.yaml", {{"Accepted", "True", "Accepted", message}}, {}};
}

class Writer : public testing::Test {
 protected:
  StatusWriter open(const std::string& writer = "node-1") {
    auto made = StatusWriter::open(fs::path(dir_ / "status"), writer);
    CHECK(made.has_value());
    return std::move(*made);
  }
  std::set<std::string> files() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(fs::path(dir_ / "status")))
      out.insert(entry.path().filename());
    return out;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(fs::path(dir_ / "status") / name);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }
  ino_t inode(const std::string& name) const {
    struct stat st{};
    EXPECT_EQ(::stat((fs::path(dir_ / "status") / name).c_str(), &st), 0);
    return st.st_ino;
  }
  test::ScratchDir dir_;
};

TEST_F(Writer, KeepsOneFileAnObjectAndWriter) {
  StatusWriter one = open("node-1"), two = open("node-2");
  ASSERT_TRUE(one.apply({status("httpgo", "x")}, {}).has_value());
  ASSERT_TRUE(two.apply({status("httpgo", "y")}, {}).has_value());
  EXPECT_EQ(files(), (std::set<std::string>{"VirtualService.dev.httpgo.node-1.json",
                                            "VirtualService.dev.httpgo.node-2.json"}));
  const std::string text = read("VirtualService.dev.httpgo.node-1.json");
  for (const char* part :
       {"\"kind\": \"VirtualService\"", "\"namespace\": \"dev\"", "\"name\": \"httpgo\"",
        "\"writer\": \"node-1\"", "\"type\": \"Accepted\"", "\"status\": \"True\"", "\"message\": \"x\""}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

TEST_F(Writer, TouchesAFileOnlyWhenItsTextChanges) {
  StatusWriter writer = open();
  ASSERT_TRUE(writer.apply({status("httpgo", "x")}, {}).has_value());
  const ino_t before = inode("VirtualService.dev.httpgo.node-1.json");
  ASSERT_TRUE(writer.apply({status("httpgo", "x")}, {}).has_value());
  EXPECT_EQ(inode("VirtualService.dev.httpgo.node-1.json"), before);
  ASSERT_TRUE(writer.apply({status("httpgo", "y")}, {}).has_value());
  EXPECT_NE(read("VirtualService.dev.httpgo.node-1.json").find("\"y\""), std::string::npos);
}

TEST_F(Writer, RemovesTheFileWithTheObject) {
  StatusWriter writer = open();
  ASSERT_TRUE(writer.apply({status("a", "x"), status("b", "x")}, {}).has_value());
  ASSERT_TRUE(writer.apply({}, {{"VirtualService", "dev", "a"}}).has_value());
  EXPECT_EQ(files(), (std::set<std::string>{"VirtualService.dev.b.node-1.json"}));
  ASSERT_TRUE(writer.apply({}, {{"VirtualService", "dev", "a"}}).has_value()) << "gone already";
}

TEST_F(Writer, ClearsWhatAFormerProcessLeftAndNoOneElsesFiles) {
  {
    StatusWriter former = open("node-1"), other = open("node-2"), gateway = open("ns.node-1");
    ASSERT_TRUE(gateway.apply({status("stale", "x")}, {}).has_value());
    ASSERT_TRUE(former.apply({status("stale", "x"), status("kept", "x")}, {}).has_value());
    ASSERT_TRUE(other.apply({status("stale", "x")}, {}).has_value());
  }
  std::ofstream(fs::path(dir_ / "status") / "Agent.node-1.json") << "{}";  // of the agent itself, no object's
  StatusWriter writer = open("node-1");
  ASSERT_TRUE(writer.apply({status("kept", "x")}, {}).has_value());
  EXPECT_EQ(files(), (std::set<std::string>{"Agent.node-1.json", "VirtualService.dev.kept.node-1.json",
                                            "VirtualService.dev.stale.node-2.json",
                                            "VirtualService.dev.stale.ns%2Enode-1.json"}));
}

TEST_F(Writer, QuotesWhatAFileNameCannotHoldAndBoundsItsLength) {
  EXPECT_EQ(StatusWriter::file_name({"File", "", "apps/../x y.yaml"}, "istio-system.gw"),
            "File..apps%2F..%2Fx%20y.yaml.istio-system%2Egw.json");
  EXPECT_EQ(StatusWriter::file_name({"Namespace", "", "dev"}, "node-1"), "Namespace..dev.node-1.json");
  const std::string deep(4000, 'd');
  EXPECT_LE(StatusWriter::file_name({"File", "", deep}, "node-1").size(), 255u);
  EXPECT_NE(StatusWriter::file_name({"File", "", deep}, "node-1"),
            StatusWriter::file_name({"File", "", deep + "d"}, "node-1"));
}

TEST_F(Writer, TriesAgainWhatFailed) {
  StatusWriter writer = open();
  fs::remove_all(fs::path(dir_ / "status"));
  EXPECT_FALSE(writer.apply({status("httpgo", "x")}, {}).has_value());
  fs::create_directories(fs::path(dir_ / "status"));
  ASSERT_TRUE(writer.apply({}, {}).has_value());
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(Writer, LeavesNoHalfWrittenFileBehind) {
  StatusWriter writer = open();
  ASSERT_TRUE(writer.apply({status("httpgo", "x")}, {}).has_value());
  for (const std::string& name : files()) EXPECT_FALSE(name.starts_with(".")) << name;
}

}  // namespace
}  // namespace weft::state
