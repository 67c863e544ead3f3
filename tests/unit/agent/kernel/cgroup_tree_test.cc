#include "agent/kernel/cgroup_tree.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/scratch_dir.h"

namespace weft::kernel {
namespace {

namespace fs = std::filesystem;

base::Result<CgroupMount> find_in(const std::string& text) {
  std::istringstream mountinfo(text);
  return cgroup2_mount_in(mountinfo);
}

TEST(MountTable, a_hybrid_hierarchy_is_found_beside_the_controllers_of_version_one) {
  EXPECT_EQ(find_in("31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
                    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
                    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n")
                ->path,
            "/sys/fs/cgroup/unified");
}

TEST(MountTable, a_pure_hierarchy_is_found_at_any_number_of_optional_fields) {
  EXPECT_EQ(
      find_in("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n")
          ->path,
      "/sys/fs/cgroup");
  EXPECT_EQ(find_in("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n")->path, "/sys/fs/cgroup");
}

TEST(MountTable, a_bind_mount_of_one_cgroup_is_not_the_hierarchy) {
  EXPECT_EQ(find_in("50 23 0:26 /system.slice /mnt/part rw - cgroup2 cgroup2 rw\n"
                    "51 23 0:26 / /mnt/all\\040of\\040it rw - cgroup2 cgroup2 rw\n"
                    "52 23 0:26 /../other /mnt/beside rw - cgroup2 cgroup2 rw\n")
                ->path,
            "/mnt/all of it");
}

// A container's own view, and the host's that is mounted over it: the roots count from our cgroup namespace.
TEST(MountTable, the_hosts_hierarchy_counts_more_than_the_containers_own) {
  const auto found = find_in(
      "60 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
      "61 60 0:26 /../../../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "62 23 0:26 /.. /mnt rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(found->path, "/sys/fs/cgroup");
  EXPECT_EQ(found->above, 4U);
}

TEST(MountTable, no_hierarchy_is_a_sentence_with_what_to_do) {
  for (const char* text :
       {"", "broken line\n", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"}) {
    const auto found = find_in(text);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, base::ErrorKind::kUnsupported);
    EXPECT_NE(found.error().what.find("mount -t cgroup2"), std::string::npos);
  }
}

TEST(CgroupPaths, what_lies_beside_ours_is_reached_by_way_of_the_parent) {
  EXPECT_EQ(join_cgroups("/kubepods/pod1/a", "/../../pod2/b"), "/kubepods/pod2/b");
  EXPECT_EQ(join_cgroups("/a", "/"), "/a");
  EXPECT_EQ(join_cgroups("", "/x/y"), "/x/y");
  EXPECT_EQ(join_cgroups("/a", "/.."), "");
  EXPECT_FALSE(join_cgroups("/a", "/../.."));
}

TEST(CgroupPaths, the_line_of_version_two_is_taken) {
  EXPECT_EQ(cgroup2_path_in("9:memory:/x\n0::/y/z\n"), "/y/z");
  EXPECT_FALSE(cgroup2_path_in("9:memory:/x\n"));
}

// A hierarchy and a /proc of plain directories.
class CgroupTreeTest : public ::testing::Test {
 protected:
  CgroupTreeTest() { own("/"); }
  void make(const std::string& cgroup, bool populated = false, pid_t process = 0) const {
    fs::create_directories(scratch_ / ("cg" + cgroup));
    std::ofstream(scratch_ / ("cg" + cgroup + "/cgroup.events"))
        << "populated " << populated << "\nfrozen 0\n";
    std::ofstream(scratch_ / ("cg" + cgroup + "/cgroup.procs")) << "4711\n" << process << "\n";
  }
  void process(const std::string& pid, const std::string& comm, const std::string& cgroup) const {
    fs::create_directories(scratch_ / ("proc/" + pid));
    std::ofstream(scratch_ / ("proc/" + pid + "/comm")) << comm << "\n";
    std::ofstream(scratch_ / ("proc/" + pid + "/cgroup")) << "3:cpu:/elsewhere\n0::" << cgroup << "\n";
  }
  void own(const std::string& cgroup) const { process("self", "weft-agent", cgroup); }
  [[nodiscard]] base::Result<CgroupTree> tree(unsigned above = 0) const {
    return CgroupTree::open_at({scratch_ / "cg", above}, scratch_ / "proc");
  }
  [[nodiscard]] std::string at(const std::string& cgroup) const { return scratch_ / ("cg" + cgroup); }

  test::ScratchDir scratch_;
};

TEST_F(CgroupTreeTest, the_pods_are_found_under_every_name_they_go) {
  for (const char* name : {"/kubepods", "/kubepods.slice", "/kubelet/kubepods",
                           "/kubelet.slice/kubelet-kubepods.slice", "/a/b/c/kubepods"}) {
    make("/system.slice");
    make(name);
    EXPECT_EQ(tree()->find_pods()->directory, at(name));
    fs::remove_all(at(""));
  }
}

TEST_F(CgroupTreeTest, of_several_the_one_that_lives_is_taken) {
  make("/kubepods");
  make("/kubepods.slice", true);
  EXPECT_EQ(tree()->find_pods()->directory, at("/kubepods.slice"));
  make("/kubepods", true);
  const auto both = tree()->find_pods();
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().kind, base::ErrorKind::kConflict);
  own("/kubepods/pod1/agent");
  EXPECT_EQ(tree()->find_pods()->directory, at("/kubepods")) << "the one we are in ourselves";
}

TEST_F(CgroupTreeTest, no_pods_yet_says_what_to_do) {
  make("/system.slice");
  const auto found = tree()->find_pods();
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().what.find("--cgroup"), std::string::npos);
}

TEST_F(CgroupTreeTest, in_a_cgroup_namespace_of_our_own_we_are_found_by_our_number_and_others_from_there) {
  make("/kubepods/burstable/pod1/agent", true, getpid());
  make("/kubepods/burstable/pod1/other", true, 1234);
  own("/");
  process("77", "weft-proxy", "/../../pod2/proxy");
  process("78", "kubelet", "/../../../../system.slice/kubelet.service");
  const auto seen = tree(4);
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen->own_directory(), at("/kubepods/burstable/pod1/agent"));
  EXPECT_EQ(*seen->directory_of(77), at("/kubepods/burstable/pod2/proxy"));
  EXPECT_EQ(seen->find_kubelet(at("/kubepods")).directory, at("/system.slice/kubelet.service"));
  EXPECT_FALSE(tree(3)) << "nowhere at that depth";
}

TEST_F(CgroupTreeTest, a_kubelet_with_a_cgroup_of_its_own_is_found_and_one_in_a_pod_is_none) {
  process("50", "kubelet", "/kubepods/pod1/liar");
  EXPECT_EQ(tree()->find_kubelet(at("/kubepods")).directory, "");
  process("60", "kubelet", "/system.slice/kubelet.service");
  EXPECT_EQ(tree()->find_kubelet(at("/kubepods")).directory, at("/system.slice/kubelet.service"));
}

TEST_F(CgroupTreeTest, a_kubelet_above_the_pods_cannot_be_told_from_others_and_that_is_said) {
  process("60", "kubelet", "/node");
  const auto choice = tree()->find_kubelet(at("/node/kubepods"));
  EXPECT_EQ(choice.directory, "");
  EXPECT_NE(choice.why.find("above the pods"), std::string::npos);
  process("60", "kubelet", "/");
  EXPECT_EQ(tree()->find_kubelet(at("/kubepods")).directory, "");
}

}  // namespace
}  // namespace weft::kernel
