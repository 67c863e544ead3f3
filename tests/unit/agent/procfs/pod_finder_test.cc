#include "agent/procfs/pod_finder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_dir.h"

namespace weft::procfs {
namespace {

namespace fs = std::filesystem;

std::string uid(int n) {
  return "00000000-0000-4000-8000-00000000000" + std::to_string(n);
}

// A /proc of files: two names of one file are one namespace.
class FinderTest : public ::testing::Test {
 protected:
  FinderTest() {
    for (const char* dir : {"proc", "netns", "spaces"}) fs::create_directory(scratch_ / dir);
    space("host");
    process(1, "/init.scope", 1, "host");
    fs::create_directories(scratch_ / "proc/self/ns");
    fs::create_hard_link(scratch_ / "spaces/host", scratch_ / "proc/self/ns/net");
    options_ = {.proc = scratch_ / "proc",
                .pinned = {scratch_ / "netns", scratch_ / "not-there"},
                .mark = [this](const std::string& path) { return mark(path); }};
  }
  void space(const std::string& name) const { std::ofstream(scratch_ / ("spaces/" + name)) << name; }
  void pin(const std::string& name, const std::string& as) const {
    fs::create_hard_link(scratch_ / ("spaces/" + name), scratch_ / ("netns/" + as));
  }
  void process(int pid, const std::string& cgroup, int started, const std::string& netns) const {
    const std::string dir = scratch_ / ("proc/" + std::to_string(pid));
    fs::create_directories(dir + "/ns");
    fs::create_directories(dir + "/net");
    std::ofstream(dir + "/cgroup") << "0::" << cgroup << "\n";
    std::ofstream(dir + "/stat") << pid << " (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " << started
                                 << " 0\n";
    std::ofstream(dir + "/net/unix") << "Num RefCount Protocol Flags Type St Inode Path\n";
    if (!netns.empty()) fs::create_hard_link(scratch_ / ("spaces/" + netns), dir + "/ns/net");
  }
  // As for a process into which one may not look.
  void hidden(int pid, const std::string& cgroup, uint64_t socket_inode) const {
    process(pid, cgroup, pid, "");
    std::ofstream(scratch_ / ("proc/" + std::to_string(pid) + "/net/unix"), std::ios::app)
        << "0: 00000002 00000000 00000000 0002 01 5\n0: 00000002 00000000 00000000 0002 01 " << socket_inode
        << "\n";
  }
  base::Result<Marker> mark(const std::string& path) {
    ++marks_made_;
    const auto found = markers_.find(fs::path(path).filename());
    if (found == markers_.end()) return base::fail(base::ErrorKind::kNotFound, "no namespace");
    return Marker{found->second, [this] { ++marks_removed_; }};
  }
  [[nodiscard]] Found scan() const { return *PodFinder(options_).scan(); }
  [[nodiscard]] std::string pod(int n, const std::string& container = "c") const {
    return "/kubepods/pod" + uid(n) + "/" + container;
  }

  test::ScratchDir scratch_;
  FinderOptions options_;
  std::map<std::string, uint64_t> markers_;  // by last name of the path
  int marks_made_ = 0, marks_removed_ = 0;
};

TEST_F(FinderTest, a_pod_is_found_by_the_pinned_name_of_its_namespace) {
  space("a");
  pin("a", "cni-1");
  process(100, pod(1), 50, "a");
  const Found found = scan();
  ASSERT_EQ(found.pods.size(), 1U);
  EXPECT_EQ(found.pods.at(uid(1)).netns, scratch_ / "netns/cni-1");
  EXPECT_EQ(found.pods.at(uid(1)).pid, 100);
  EXPECT_EQ(marks_made_, 0) << "nobody hides his namespace";
}

TEST_F(FinderTest, without_a_pinned_name_the_first_process_of_the_pod_names_it) {
  space("a");
  space("inner");
  process(100, pod(1, "later"), 90, "inner");
  process(200, pod(1, "pause"), 50, "a");
  EXPECT_EQ(scan().pods.at(uid(1)).netns, scratch_ / "proc/200/ns/net") << "numbers wrap, times do not";
}

TEST_F(FinderTest, a_namespace_that_a_pod_made_itself_is_not_its_own) {
  space("a");
  space("inner");
  pin("a", "cni-1");
  process(100, pod(1), 50, "inner");
  process(101, pod(1), 60, "a");
  EXPECT_EQ(scan().pods.at(uid(1)).netns, scratch_ / "netns/cni-1");
}

TEST_F(FinderTest, pods_in_the_nodes_namespace_are_named_and_left_out) {
  process(100, pod(1), 50, "host");
  const Found found = scan();
  EXPECT_TRUE(found.pods.empty());
  EXPECT_EQ(found.host_network, std::set<std::string>{uid(1)});
}

TEST_F(FinderTest, a_process_that_may_not_be_looked_into_is_told_by_a_socket_in_its_namespace) {
  space("a");
  space("b");
  pin("a", "cni-1");
  pin("b", "cni-2");
  markers_ = {{"cni-1", 701}, {"cni-2", 702}, {"net", 700}};
  hidden(100, pod(1), 702);
  hidden(101, pod(2), 700);
  hidden(102, pod(3), 999);
  const Found found = scan();
  ASSERT_EQ(found.pods.size(), 1U);
  EXPECT_EQ(found.pods.at(uid(1)).netns, scratch_ / "netns/cni-2");
  EXPECT_EQ(found.host_network, std::set<std::string>{uid(2)});
  EXPECT_EQ(found.unknown, 1U);
  EXPECT_EQ(marks_made_, 3);
  EXPECT_EQ(marks_removed_, 3) << "nothing stays in the pods";
}

TEST_F(FinderTest, processes_of_no_pod_and_those_that_end_meanwhile_are_no_trouble) {
  process(100, "/user.slice/user-0.slice", 50, "host");
  fs::create_directory(scratch_ / "proc/101");
  std::ofstream(scratch_ / "proc/uptime") << "1";
  const Found found = scan();
  EXPECT_TRUE(found.pods.empty());
  EXPECT_EQ(found.processes, 3U);
  EXPECT_FALSE(PodFinder({.proc = scratch_ / "nowhere"}).scan());
}

}  // namespace
}  // namespace weft::procfs
