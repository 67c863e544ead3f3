#include "agent/cni/keeper.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/cni/rounds.h"
#include "agent/cni_wire/json.h"
#include "tests/support/scratch_dir.h"

namespace weft::cni {
namespace {

namespace fs = std::filesystem;

const std::string kList =
    R"({"cniVersion":"0.4.0","name":"net","plugins":[{"type":"bridge"},{"type":"portmap"}]})";
const std::string kSingle = R"({"cniVersion":"0.4.0","name":"net","type":"bridge"})";

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    fs::create_directory(scratch_ / "net.d");
    fs::create_directory(scratch_ / "bin");
    put("shipped", "#!/bin/true\n");
    options_ = {.conf_dir = scratch_ / "net.d",
                .bin_dir = scratch_ / "bin",
                .binary = scratch_ / "shipped",
                .entry = {"/run/weft/cni.sock", false, {"kube-system"}}};
  }
  void put(const std::string& name, const std::string& text) const { std::ofstream(scratch_ / name) << text; }
  [[nodiscard]] std::string get(const std::string& name) const {
    std::ifstream in(scratch_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] bool is_chained(const std::string& name) const {
    const std::string text = get("net.d/" + name);
    const auto json = Json::parse(text);
    if (!json) return false;
    const auto items = json->member("plugins").items();
    return !items.empty() && items.back().member("type").as_string() == kPluginType;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(scratch_ / "net.d"))
      out.push_back(entry.path().filename());
    std::ranges::sort(out);
    return out;
  }

  test::ScratchDir scratch_;
  KeeperOptions options_;
};

TEST_F(KeeperTest, the_first_configuration_by_name_is_chained_and_the_others_are_not) {
  put("net.d/20-b.conflist", kList);
  put("net.d/10-a.conflist", kList);
  put("net.d/00-readme.txt", "none");
  Keeper keeper(options_);
  const KeeperReport report = keeper.look();
  EXPECT_EQ(report.problem, "");
  EXPECT_TRUE(report.chained);
  EXPECT_EQ(report.conflist, scratch_ / "net.d/10-a.conflist");
  EXPECT_TRUE(is_chained("10-a.conflist"));
  EXPECT_EQ(get("net.d/20-b.conflist"), kList);
}

TEST_F(KeeperTest, the_binary_is_installed_executable_and_only_if_it_differs) {
  put("net.d/10-a.conflist", kList);
  Keeper keeper(options_);
  keeper.look();
  EXPECT_EQ(get("bin/weft-cni"), "#!/bin/true\n");
  struct stat first{}, second{};
  ASSERT_EQ(stat((scratch_ / "bin/weft-cni").c_str(), &first), 0);
  EXPECT_EQ(first.st_mode & 0777, 0755U);
  EXPECT_EQ(keeper.look().binary_installs, 1U);
  ASSERT_EQ(stat((scratch_ / "bin/weft-cni").c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino) << "was written again";
  put("bin/weft-cni", "something else");
  EXPECT_EQ(keeper.look().binary_installs, 2U);
  EXPECT_EQ(get("bin/weft-cni"), "#!/bin/true\n");
}

TEST_F(KeeperTest, without_the_binary_nothing_is_chained) {
  put("net.d/10-a.conflist", kList);
  fs::remove(scratch_ / "shipped");
  Keeper keeper(options_);
  EXPECT_FALSE(keeper.look().chained);
  EXPECT_NE(keeper.look().problem.find("shipped"), std::string::npos);
  EXPECT_EQ(get("net.d/10-a.conflist"), kList);
}

TEST_F(KeeperTest, mode_is_kept_and_a_link_stays_a_link) {
  put("real.conflist", kList);
  fs::create_symlink(scratch_ / "real.conflist", scratch_ / "net.d/10-a.conflist");
  ASSERT_EQ(chmod((scratch_ / "real.conflist").c_str(), 0640), 0);
  Keeper keeper(options_);
  EXPECT_EQ(keeper.look().problem, "");
  EXPECT_TRUE(fs::is_symlink(scratch_ / "net.d/10-a.conflist"));
  EXPECT_TRUE(is_chained("10-a.conflist"));
  struct stat info{};
  ASSERT_EQ(stat((scratch_ / "real.conflist").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
}

TEST_F(KeeperTest, a_single_plugins_file_becomes_a_list_and_comes_back_on_removal) {
  put("net.d/10-a.conf", kSingle);
  Keeper keeper(options_);
  EXPECT_EQ(keeper.look().problem, "");
  EXPECT_TRUE(is_chained("10-a.conflist"));
  EXPECT_EQ(names(), (std::vector<std::string>{"10-a.conf.weft-saved", "10-a.conflist"}));
  // Its owner writes it anew: it would come first again.
  put("net.d/10-a.conf", kSingle);
  EXPECT_EQ(keeper.look().repairs, 1U);
  EXPECT_EQ(names(), (std::vector<std::string>{"10-a.conf.weft-saved", "10-a.conflist"}));
  ASSERT_TRUE(keeper.remove());
  EXPECT_EQ(names(), (std::vector<std::string>{"10-a.conf"}));
  EXPECT_EQ(get("net.d/10-a.conf"), kSingle);
}

TEST_F(KeeperTest, a_list_of_anothers_is_not_written_over) {
  put("net.d/10-a.conf", kSingle);
  put("net.d/10-a.conflist", kList);
  Keeper keeper(options_);
  EXPECT_NE(keeper.look().problem.find("is not weft's"), std::string::npos);
  EXPECT_EQ(get("net.d/10-a.conf"), kSingle);
  EXPECT_EQ(get("net.d/10-a.conflist"), kList);
}

TEST_F(KeeperTest, what_is_no_configuration_is_named_and_left_alone) {
  put("net.d/05-broken.conflist", "{\"name\":");
  Keeper keeper(options_);
  EXPECT_FALSE(keeper.look().chained);
  EXPECT_NE(keeper.look().problem.find("05-broken.conflist"), std::string::npos);
  put("net.d/10-a.conflist", kList);
  const KeeperReport report = keeper.look();
  EXPECT_TRUE(report.chained);
  EXPECT_NE(report.problem.find("05-broken.conflist"), std::string::npos);
  EXPECT_EQ(get("net.d/05-broken.conflist"), "{\"name\":");
}

TEST_F(KeeperTest, before_the_network_plugin_has_come_it_says_what_it_waits_for) {
  Keeper keeper(options_);
  EXPECT_FALSE(keeper.look().chained);
  EXPECT_NE(keeper.look().problem.find("no CNI configuration"), std::string::npos);
  put("net.d/10-a.conflist", kList);
  EXPECT_TRUE(keeper.look().chained);
  EXPECT_EQ(keeper.look().repairs, 0U);
}

TEST_F(KeeperTest, removal_takes_our_entry_out_of_every_list_and_leaves_the_plugin) {
  put("net.d/10-a.conflist", kList);
  Keeper keeper(options_);
  keeper.look();
  put("net.d/05-new.conflist", kList);
  EXPECT_EQ(keeper.look().repairs, 1U);
  EXPECT_TRUE(is_chained("05-new.conflist"));
  EXPECT_TRUE(is_chained("10-a.conflist"));
  ASSERT_TRUE(keeper.remove());
  EXPECT_EQ(get("net.d/05-new.conflist"), kList);
  EXPECT_EQ(get("net.d/10-a.conflist"), kList);
  EXPECT_TRUE(fs::exists(scratch_ / "bin/weft-cni")) << "sandboxes made with it are taken down with it";
}

// As in the agent: a thread that is woken by what others write.
TEST_F(KeeperTest, a_configuration_that_is_rewritten_is_repaired_in_the_blink_of_an_eye_and_counted) {
  put("net.d/10-a.conflist", kList);
  Keeper keeper(options_);
  std::atomic<uint64_t> repairs = 0, looks = 0;
  const auto rounds = *Rounds::create({.name = "keep",
                                       .every = std::chrono::seconds(60),
                                       .pause = base::Millis(20),
                                       .readable = keeper.changes_fd()},
                                      [&] {
                                        keeper.forget_changes();
                                        repairs = keeper.look().repairs;
                                        ++looks;
                                      });
  rounds->start();
  const auto until = [&](auto done) {
    for (int i = 0; i < 500 && !done(); ++i) poll(nullptr, 0, 10);
    return done();
  };
  ASSERT_TRUE(until([&] { return is_chained("10-a.conflist"); }));
  for (uint64_t i = 1; i <= 5; ++i) {
    put("aside", kList);
    fs::rename(scratch_ / "aside", scratch_ / "net.d/10-a.conflist");
    ASSERT_TRUE(until([&] { return repairs == i && is_chained("10-a.conflist"); })) << i;
  }
  // Our own writing wakes us as well, but once.
  poll(nullptr, 0, 100);
  const uint64_t before = looks;
  poll(nullptr, 0, 200);
  EXPECT_EQ(looks, before);
  rounds->stop();
}

}  // namespace
}  // namespace weft::cni
