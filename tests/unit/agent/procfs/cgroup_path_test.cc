#include "agent/procfs/cgroup_path.h"

#include <gtest/gtest.h>

#include "agent/procfs/files.h"

namespace weft::procfs {
namespace {

const std::string kUid = "0f3a7a2e-9c11-4d3b-8e0f-0123456789ab";
const std::string kUnderscores = "0f3a7a2e_9c11_4d3b_8e0f_0123456789ab";
const std::string kHash = "d41d8cd98f00b204e9800998ecf8427e";

TEST(CgroupPath, every_form_in_which_drivers_and_runtimes_name_a_pod_is_read) {
  const std::vector<std::pair<std::string, PodCgroup>> cases = {
      {"/kubepods/burstable/pod" + kUid + "/abc", {kUid, "abc"}},
      {"/kubepods/pod" + kUid + "/abc", {kUid, "abc"}},
      {"/kubepods/besteffort/pod" + kUid, {kUid, ""}},
      {"/kubepods/besteffort/pod" + kHash + "/abc", {kHash, "abc"}},
      {"/kubelet/kubepods/burstable/pod" + kUid + "/abc/init.scope", {kUid, "abc"}},
      {"/weft/node-a/kubepods/pod" + kUid + "/abc", {kUid, "abc"}},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kUnderscores +
           ".slice/cri-containerd-abc.scope",
       {kUid, "abc"}},
      {"/kubepods.slice/kubepods-pod" + kUnderscores + ".slice/crio-abc.scope/container", {kUid, "abc"}},
      {"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
       "kubelet-kubepods-besteffort-pod" +
           kUnderscores + ".slice/docker-abc.scope",
       {kUid, "abc"}},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kHash + ".slice", {kHash, ""}},
      {"/system.slice/containerd.service/kubepods-burstable-pod" + kUnderscores + ".slice:cri-containerd:abc",
       {kUid, "abc"}},
      {"/../../pod" + kUid + "/abc", {kUid, "abc"}},
      {"/../../../burstable/pod" + kUid + "/abc", {kUid, "abc"}},
  };
  for (const auto& [path, pod] : cases) {
    const auto read = pod_of_path(path);
    ASSERT_TRUE(read) << path;
    EXPECT_EQ(read->uid, pod.uid) << path;
    EXPECT_EQ(read->container, pod.container) << path;
  }
}

TEST(CgroupPath, what_is_no_pod_is_none) {
  const std::vector<std::string> others = {"/",
                                           "/kubepods",
                                           "/kubepods/burstable",
                                           "/user.slice/pod" + kUid,
                                           "/kubepods/podx" + kUid,
                                           "/kubepods/pod" + kUid.substr(1),
                                           "/kubepods/pod" + kUid + "0",
                                           "/kubepods/podABCDEF12-9c11-4d3b-8e0f-0123456789ab",
                                           "/x-pod" + kUnderscores + ".slice",
                                           "/kubepods-pod" + kUnderscores + ".slicex",
                                           "/system.slice/kubelet.service",
                                           ""};
  for (const std::string& path : others) EXPECT_FALSE(pod_of_path(path)) << path;
}

TEST(CgroupPath, a_pod_that_makes_cgroups_of_its_own_stays_the_pod_it_is) {
  const std::string other = "ffffffff-9c11-4d3b-8e0f-0123456789ab";
  const auto read = pod_of_path("/kubepods/pod" + kUid + "/abc/kubepods/pod" + other + "/evil");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->uid, kUid);
  EXPECT_EQ(read->container, "abc");
}

TEST(CgroupFile, the_line_of_version_two_counts_and_else_any_of_version_one) {
  const std::string v1 = "12:memory:/kubepods/pod" + kUid + "/abc\n9:name=systemd:/\n";
  EXPECT_EQ(pod_of_file(v1 + "0::/\n")->uid, kUid) << "a runtime that leaves version 2 alone";
  EXPECT_EQ(pod_of_file(v1 + "0::/kubepods/pod" + kHash + "/abc\n")->uid, kHash);
  EXPECT_EQ(pod_of_file("0::/kubepods/pod" + kHash)->uid, kHash) << "no new line at the end";
  EXPECT_FALSE(pod_of_file("0::/user.slice\n"));
  EXPECT_FALSE(pod_of_file("garbage\n::\n:\n"));
}

TEST(ProcFiles, the_start_time_is_found_behind_a_name_that_holds_anything) {
  const std::string stat = "42 (a) b (c) ) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n";
  EXPECT_EQ(start_time_in(stat), 987654U);
  EXPECT_FALSE(start_time_in("42 (a) S 1 2"));
  EXPECT_FALSE(start_time_in(""));
}

TEST(ProcFiles, sockets_are_read_from_the_table_of_unix_sockets) {
  EXPECT_EQ(inodes_in("Num       RefCount Protocol Flags    Type St Inode Path\n"
                      "0000000000000000: 00000002 00000000 00000000 0002 01 4711\n"
                      "0000000000000000: 00000002 00000000 00010000 0001 01    12 @name 99\nbroken\n"),
            (std::vector<uint64_t>{4711, 12}));
}

}  // namespace
}  // namespace weft::procfs
