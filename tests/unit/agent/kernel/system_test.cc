#include "agent/kernel/system.h"

#include <gtest/gtest.h>

#include <sstream>

namespace weft::kernel {
namespace {

base::Result<std::string> find_in(const std::string& text) {
  std::istringstream mountinfo(text);
  return cgroup2_in(mountinfo);
}

TEST(MountTable, AHybridHierarchyIsFoundBesideTheControllersOfVersionOne) {
  EXPECT_EQ(*find_in("31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
                     "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
                     "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"),
            "/sys/fs/cgroup/unified");
}

TEST(MountTable, APureHierarchyIsFoundAtAnyNumberOfOptionalFields) {
  EXPECT_EQ(
      *find_in("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"),
      "/sys/fs/cgroup");
  EXPECT_EQ(*find_in("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n"), "/sys/fs/cgroup");
}

TEST(MountTable, ABindMountOfOneCgroupIsNotTheHierarchy) {
  EXPECT_EQ(*find_in("50 23 0:26 /system.slice /mnt/part rw - cgroup2 cgroup2 rw\n"
                     "51 23 0:26 / /mnt/all\\040of\\040it rw - cgroup2 cgroup2 rw\n"),
            "/mnt/all of it");
}

TEST(MountTable, NoHierarchyIsASentenceWithWhatToDo) {
  for (const char* text :
       {"", "broken line\n", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"}) {
    const auto found = find_in(text);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, base::ErrorKind::kUnsupported);
    EXPECT_NE(found.error().what.find("mount -t cgroup2"), std::string::npos);
  }
}

}  // namespace
}  // namespace weft::kernel
