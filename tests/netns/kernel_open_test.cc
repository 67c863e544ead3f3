// How the kernel half comes to be, survives its agent, is upgraded and goes.
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/netns/kernel_fixture.h"

namespace weft::kernel {
namespace {

class Open : public KernelTest {};

TEST_F(Open, PinsEveryMapAndAttachesEveryHookOnce) {
  start();
  EXPECT_EQ(kernel_->start(), Start::kCreated);
  for (const char* map :
       {"pods", "services", "backends", "workloads", "policy", "listeners", "counters", "names"})
    EXPECT_TRUE(std::filesystem::exists(path(map))) << map;
  expect_all_hooks_attached_once();
}

TEST_F(Open, ASecondStartReusesTheLinksAndTheirPrograms) {
  start();
  const auto before = link_info("links/connect4");
  start();
  EXPECT_EQ(kernel_->start(), Start::kReused);
  EXPECT_EQ(link_info("links/connect4").id, before.id);
  EXPECT_EQ(link_info("links/connect4").prog_id, before.prog_id);
  expect_all_hooks_attached_once();
}

TEST_F(Open, TwoAgentsAtOnceAreRefused) {
  start();
  auto second = Kernel::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, base::ErrorKind::kConflict);
  EXPECT_NE(second.error().what.find("another weft-agent"), std::string::npos) << second.error().what;
}

TEST_F(Open, AnotherAbiIsRefusedWithWhatToDo) {
  ASSERT_TRUE(std::filesystem::create_directories(options_.pin_root + "/v99"));
  auto opened = Kernel::open(options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, base::ErrorKind::kConflict);
  EXPECT_NE(opened.error().what.find("ABI 99"), std::string::npos) << opened.error().what;
  EXPECT_NE(opened.error().what.find("--uninstall"), std::string::npos) << opened.error().what;
  EXPECT_EQ(programs_at(BPF_CGROUP_INET4_CONNECT), 0U) << "nothing was attached";
}

TEST_F(Open, AMapOfAnotherLayoutIsRefusedAndNothingIsTouched) {
  start();
  const auto before = link_info("links/connect4");
  kernel_.reset();
  const base::Fd other(bpf_map_create(BPF_MAP_TYPE_HASH, "services", 8, 8, 16, nullptr));
  ASSERT_EQ(unlink(path("services").c_str()), 0);
  ASSERT_EQ(bpf_obj_pin(other.get(), path("services").c_str()), 0);
  auto opened = Kernel::open(options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, base::ErrorKind::kConflict);
  EXPECT_NE(opened.error().what.find("\"services\""), std::string::npos) << opened.error().what;
  EXPECT_EQ(link_info("links/connect4").prog_id, before.prog_id);
}

// Runs open() in a process that dies by SIGKILL at its step number `at`; false if it came through.
bool open_and_die(const Options& options, int at) {
  test::Child child({}, [&] {
    Options dying = options;
    int steps = 0;
    dying.on_step = [&](std::string_view) {
      if (steps++ == at) ::kill(getpid(), SIGKILL);
    };
    auto opened = Kernel::open(dying);
    return std::string(opened ? "through" : base::describe(opened.error()));
  });
  try {
    EXPECT_EQ(child.wait(), "through");
    return false;
  } catch (const std::runtime_error&) {
    return true;
  }
}

TEST_F(Open, KilledAfterAnyStepOfCreationTheNextStartIsWhole) {
  int steps = 0;
  for (; open_and_die(options_, steps); ++steps) {
    start();
    expect_all_hooks_attached_once();
    EXPECT_FALSE(std::filesystem::exists(options_.pin_root + "/new-v" + std::to_string(WEFT_ABI)));
    kernel_.reset();
    ASSERT_TRUE(uninstall(options_.pin_root));
  }
  EXPECT_GE(steps, 12) << "lock, load, maps, nine hooks, commit";
}

TEST_F(Open, KilledAfterAnyStepOfAdoptionTheNextStartIsWhole) {
  start();
  const auto before = link_info("links/connect4");
  kernel_.reset();
  int steps = 0;
  for (; open_and_die(options_, steps); ++steps) {
    start();
    EXPECT_EQ(kernel_->start(), Start::kReused);
    EXPECT_EQ(link_info("links/connect4").id, before.id);
    expect_all_hooks_attached_once();
    kernel_.reset();
  }
  EXPECT_GE(steps, 4);
}

TEST_F(Open, OtherProgramsOfTheSameAbiAreReplacedThroughTheirLinks) {
  start();
  const auto before = link_info("links/connect4");
  kernel_.reset();
  // Puts an "older weft" behind two of the links: same names, other code.
  const base::Fd older = strange_connect4("weft_connect4");
  const base::Fd older_sockops = strange_program("weft_sockops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS);
  ASSERT_EQ(bpf_link_update(pinned("links/connect4").get(), older.get(), nullptr), 0);
  ASSERT_EQ(bpf_link_update(pinned("links/sockops").get(), older_sockops.get(), nullptr), 0);
  const auto old_program = link_info("links/connect4").prog_id;
  start();
  EXPECT_EQ(kernel_->start(), Start::kUpgraded);
  EXPECT_EQ(link_info("links/connect4").id, before.id) << "the link never left its attach point";
  EXPECT_NE(link_info("links/connect4").prog_id, old_program);
  expect_all_hooks_attached_once();
  start();
  EXPECT_EQ(kernel_->start(), Start::kReused);
}

TEST_F(Open, AnotherMarkMeansOtherPrograms) {
  start();
  options_.mark = 0x01000000;
  start();
  EXPECT_EQ(kernel_->start(), Start::kUpgraded);
  expect_all_hooks_attached_once();
}

TEST_F(Open, AProgramThatNoWeftPinnedIsRefused) {
  start();
  kernel_.reset();
  const base::Fd stranger = strange_connect4("somebody");
  ASSERT_EQ(bpf_link_update(pinned("links/connect4").get(), stranger.get(), nullptr), 0);
  auto opened = Kernel::open(options_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("somebody"), std::string::npos) << opened.error().what;
}

TEST_F(Open, ForeignProgramsAtTheAttachPointAreCountedAndLeftAlone) {
  const base::Fd stranger = strange_connect4("somebody");
  const base::Fd link(bpf_link_create(stranger.get(), cgroup_.fd(), BPF_CGROUP_INET4_CONNECT, nullptr));
  ASSERT_TRUE(link);
  start();
  expect_all_hooks_attached_once();
  for (const auto& attachment : kernel_->attachments())
    EXPECT_EQ(attachment.foreign, attachment.hook == "connect4" ? 1U : 0U) << attachment.hook;
  kernel_.reset();
  ASSERT_TRUE(uninstall(options_.pin_root));
  EXPECT_EQ(programs_at(BPF_CGROUP_INET4_CONNECT), 1U);
}

TEST_F(Open, ASecondWeftOnTheSameCgroupIsRefused) {
  start();
  Options second = options_;
  second.pin_root = private_bpffs() + "/second";
  auto opened = Kernel::open(second);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("another weft"), std::string::npos) << opened.error().what;
  EXPECT_TRUE(uninstall(second.pin_root));
  expect_all_hooks_attached_once();
}

TEST_F(Open, ALinkThatSomebodyDetachedOrUnpinnedIsSeenAndRepaired) {
  start();
  ASSERT_EQ(bpf_link_detach(pinned("links/connect4").get()), 0);
  ASSERT_EQ(bpf_link_detach(pinned("links/sockops").get()), 0);
  ASSERT_EQ(unlink(path("links/sockops").c_str()), 0);
  std::map<std::string, LinkState> states;
  for (const auto& attachment : kernel_->attachments()) states[attachment.hook] = attachment.state;
  EXPECT_EQ(states["connect4"], LinkState::kDetached);
  EXPECT_EQ(states["sockops"], LinkState::kAbsent);
  EXPECT_EQ(states["connect6"], LinkState::kAttached);
  auto repaired = kernel_->repair_hooks();
  ASSERT_TRUE(repaired) << base::describe(repaired.error());
  EXPECT_EQ(*repaired, 2U);
  expect_all_hooks_attached_once();
  EXPECT_EQ(*kernel_->repair_hooks(), 0U);
  EXPECT_EQ(kernel_->failures().hooks_repaired, 2U);
}

TEST_F(Open, ANewPodsCgroupTakesTheHooksOver) {
  start();
  kernel_.reset();
  const test::Cgroup other("kernel-other");
  options_.pods_cgroup = other.path();
  start();
  expect_all_hooks_attached_once();
  EXPECT_EQ(programs_at(BPF_CGROUP_INET4_CONNECT), 0U) << "the former cgroup is free";
}

TEST_F(Open, TheProbeHookSitsOnTheKubeletsCgroupWhileThereIsOneAndGoesWithTheOption) {
  const test::Cgroup kubelet("kubelet"), newer("kubelet-again");
  start();
  EXPECT_FALSE(std::filesystem::exists(path("links/probe")));
  options_.kubelet_cgroup = kubelet.path();
  start();
  EXPECT_EQ(kernel_->attachments().size(), 10U);
  EXPECT_EQ(kernel_->attachments().back().hook, "probe");
  EXPECT_EQ(kernel_->attachments().back().state, LinkState::kAttached);
  EXPECT_EQ(link_info("links/probe").cgroup.cgroup_id, kubelet.id());
  options_.kubelet_cgroup = newer.path();
  start();
  EXPECT_EQ(link_info("links/probe").cgroup.cgroup_id, newer.id());
  options_.kubelet_cgroup.clear();
  start();
  EXPECT_FALSE(std::filesystem::exists(path("links/probe")));
  expect_all_hooks_attached_once();
}

TEST_F(Open, AKubeletsCgroupThatHoldsPodsIsRefused) {
  const test::Cgroup below(cgroup_, "below");
  for (const std::string& wrong :
       {cgroup_.path(), below.path(), std::filesystem::path(cgroup_.path()).parent_path().string()}) {
    options_.kubelet_cgroup = wrong;
    const auto opened = Kernel::open(options_);
    ASSERT_FALSE(opened) << wrong;
    EXPECT_NE(opened.error().what.find("could pass for probes"), std::string::npos) << opened.error().what;
  }
}

TEST_F(Open, UninstallLeavesNothing) {
  start();
  test::Netns pod;
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  kernel_.reset();
  ASSERT_TRUE(uninstall(options_.pin_root));
  EXPECT_FALSE(std::filesystem::exists(options_.pin_root));
  for (auto type : {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_SOCK_OPS,
                    BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_RECVMSG, BPF_CGROUP_INET4_GETPEERNAME})
    EXPECT_EQ(programs_at(type), 0U);
  uint32_t count = 0;
  EXPECT_EQ(bpf_prog_query(pod.fd(), BPF_SK_LOOKUP, 0, nullptr, nullptr, &count), 0);
  EXPECT_EQ(count, 0U);
  EXPECT_TRUE(uninstall(options_.pin_root)) << "again is fine";
}

TEST_F(Open, ADirectoryOutsideABpfFilesystemIsRefusedWithWhatToDo) {
  Options elsewhere = options_;
  elsewhere.pin_root = "/tmp/weft-not-bpf/deep/down";
  auto opened = Kernel::open(elsewhere);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("mount -t bpf"), std::string::npos) << opened.error().what;
  EXPECT_FALSE(std::filesystem::exists("/tmp/weft-not-bpf"));
}

TEST_F(Open, APodsCgroupThatIsNoneIsRefused) {
  Options wrong = options_;
  wrong.pods_cgroup = "/tmp";
  auto opened = Kernel::open(wrong);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("cgroup v2"), std::string::npos) << opened.error().what;
}

TEST_F(Open, PreflightFindsNothingHereAndNamesWhatIsMissing) {
  EXPECT_TRUE(preflight(options_).empty());
  EXPECT_FALSE(std::filesystem::exists(options_.pin_root)) << "it leaves no trace";
  options_.pin_root += "/deep/down";
  EXPECT_TRUE(preflight(options_).empty());
  options_.pin_root = private_bpffs() + "/weft";
  EXPECT_FALSE(std::filesystem::exists(options_.pin_root));
  Options wrong = options_;
  wrong.pods_cgroup = "/tmp";
  wrong.pin_root = "/tmp/weft-not-bpf";
  EXPECT_EQ(preflight(wrong).size(), 2U);
}

}  // namespace
}  // namespace weft::kernel
