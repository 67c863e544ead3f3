// The real weft-cni against the agent's socket, with a real namespace to capture; and pods found in the real
// /proc.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fstream>

#include "agent/cni/admission.h"
#include "agent/cni/server.h"
#include "agent/cni_wire/json.h"
#include "agent/procfs/pod_finder.h"
#include "tests/netns/enrol_fixture.h"

namespace weft::enrol {
namespace {

const std::string kResult =
    R"({"cniVersion":"1.0.0","ips":[{"address":"10.77.0.2/24"},{"address":"fd77::2/64"}]})";
const std::string kPlugin = std::string(WEFT_BINARY_DIR) + "/bin/weft-cni";

struct Said {
  int exit_code = -1;
  std::string out;
  [[nodiscard]] int code() const {
    const auto json = cni::Json::parse(out);
    return json ? json->member("code").as_count().value_or(0) : 0;
  }
};

// One call of the plugin, as a container runtime makes it.
Said call(const std::string& command, const std::string& netns, const std::string& config) {
  int in[2], out[2];
  if (pipe(in) != 0 || pipe(out) != 0) throw std::runtime_error("pipe");
  const std::vector<std::string> variables = {"CNI_COMMAND=" + command,
                                              "CNI_CONTAINERID=c1",
                                              "CNI_NETNS=" + netns,
                                              "CNI_IFNAME=eth0",
                                              "CNI_PATH=/none",
                                              "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=dev;K8S_POD_NAME="
                                              "web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u-web"};
  std::vector<char*> environment;
  for (const auto& one : variables) environment.push_back(const_cast<char*>(one.c_str()));
  environment.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
    char* const words[] = {const_cast<char*>(kPlugin.c_str()), nullptr};
    execve(kPlugin.c_str(), words, environment.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  base::Fd to(in[1]);
  const base::Fd from(out[0]);
  EXPECT_EQ(write(to.get(), config.data(), config.size()), static_cast<ssize_t>(config.size()));
  to.reset();
  Said said;
  char block[4096];
  for (ssize_t got = 0; (got = read(from.get(), block, sizeof block)) > 0;)
    said.out.append(block, static_cast<size_t>(got));
  if (said.out.ends_with('\n')) said.out.pop_back();
  int status = 0;
  waitpid(child, &status, 0);
  said.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

class CniTest : public EnrolTest, public cni::PodJudge, public cni::Capturer {
 protected:
  ~CniTest() override {
    server_.reset();
    unlink(socket_.c_str());
  }

  cni::Judgement judge(const cni::Request&) const override { return {verdict_, "by the test"}; }
  cni::Judgement judge_namespace(const std::string&) const override {
    return {cni::Verdict::kUnknown, "by the test"};
  }
  void sandbox_is(const cni::Request& sandbox) override {
    EXPECT_EQ(sandbox.addresses, (std::vector<std::string>{"10.77.0.2", "fd77::2"}));
    if (verdict_ != cni::Verdict::kCapture) return;
    loop_->post([this] { apply(); });
  }
  void sandbox_gone(const cni::Request& sandbox) override { gone_.push_back(sandbox.container_id); }
  bool is_armed(const cni::Request& sandbox) const override {
    return enroller_->is_armed("dev/web", sandbox.netns);
  }
  std::string why_not_armed(const cni::Request&) const override { return enroller_->status()[0].detail; }

  void serve_plugin() {
    admission_ = std::make_unique<cni::Admission>(*loop_, *this, *this,
                                                  cni::AdmissionOptions{.patience = base::Millis(500)});
    server_ = *cni::Server::create(*loop_, *admission_, {.socket_path = socket_});
  }
  [[nodiscard]] std::string config(const std::string& more = "") const {
    return R"({"cniVersion":"1.0.0","name":"net","type":"weft-cni","socket":")" + socket_ +
           R"(","prevResult":)" + kResult + more + "}";
  }
  // While the agent goes on.
  Said plugin(const std::string& command, const std::string& more = "") {
    Said said;
    std::atomic<bool> done = false;
    std::thread runtime([&] {
      said = call(command, pod_.path(), config(more));
      done = true;
    });
    EXPECT_TRUE(until([&] { return done.load(); }, std::chrono::seconds(10)));
    runtime.join();
    return said;
  }

  const std::string socket_ = "/tmp/weft-cni-test.sock";  // in the /tmp that is this process's own
  cni::Verdict verdict_ = cni::Verdict::kCapture;
  std::unique_ptr<cni::Admission> admission_;
  std::unique_ptr<cni::Server> server_;
  std::vector<std::string> gone_;
};

TEST_F(CniTest, when_an_add_returns_the_very_first_packet_of_the_pod_is_captured) {
  start_agent();
  serve_plugin();
  const auto begin = std::chrono::steady_clock::now();
  const Said said = plugin("ADD");
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_EQ(said.out, kResult);
  EXPECT_TRUE(enroller_->is_armed("dev/web", pod_.path()));
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "outbound 10.99.0.5:7000 from 10.77.0.2");
  RecordProperty("add_ms",
                 static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  std::printf("an ADD took %lld ms\n",
              static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  EXPECT_EQ(plugin("CHECK").exit_code, 0);
  EXPECT_EQ(plugin("DEL").exit_code, 0);
  EXPECT_EQ(gone_, std::vector<std::string>{"c1"});
}

TEST_F(CniTest, an_add_needs_no_proxy) {
  start_agent();
  enroller_->on_proxy_gone(1);
  serve_plugin();
  EXPECT_EQ(plugin("ADD").exit_code, 0);
}

TEST_F(CniTest, a_pod_of_nobody_starts_and_is_left_alone) {
  start_agent();
  serve_plugin();
  verdict_ = cni::Verdict::kLeave;
  EXPECT_EQ(plugin("ADD").out, kResult);
  EXPECT_EQ(in_app([] { return greeting_of(kRemoteV4); }), "") << "the server in the node says nothing";
}

TEST_F(CniTest, a_pod_nobody_knows_is_tried_again_later) {
  start_agent();
  serve_plugin();
  verdict_ = cni::Verdict::kUnknown;
  const Said said = plugin("ADD");
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_EQ(said.code(), 11);
}

TEST_F(CniTest, without_an_agent_a_pod_waits_unless_it_may_go_open_and_always_may_end) {
  const Said closed = call("ADD", pod_.path(), config());
  EXPECT_EQ(closed.code(), 11) << closed.out;
  EXPECT_EQ(call("ADD", pod_.path(), config(R"(,"failMode":"open")")).out, kResult);
  EXPECT_EQ(call("ADD", pod_.path(), config(R"(,"excludeNamespaces":["dev"])")).out, kResult);
  EXPECT_EQ(call("DEL", "", config()).exit_code, 0);
  EXPECT_EQ(call("VERSION", "", "{}").exit_code, 0);
}

// A process of a pod, of another user than ours, in the pod's namespace and in a cgroup as a kubelet makes
// it.
class FindTest : public ::testing::Test {
 protected:
  FindTest()
      : top_("find"),
        kubepods_(top_, "kubepods"),
        pod_cgroup_(kubepods_, "pod0f3a7a2e-9c11-4d3b-8e0f-0123456789ab"),
        container_(pod_cgroup_, "c1") {
    kernel::private_bpffs();  // and with it a mount namespace and a /tmp of our own
    mkdir(kPinned, 0755);
    std::ofstream(kPinned + std::string("/cni-1")).flush();
    if (mount(pod_.path().c_str(), (kPinned + std::string("/cni-1")).c_str(), nullptr, MS_BIND, nullptr) != 0)
      throw std::runtime_error("cannot pin a namespace");
  }
  ~FindTest() override { umount2((kPinned + std::string("/cni-1")).c_str(), MNT_DETACH); }

  static std::string describe(const procfs::Found& found) {
    std::string out;
    for (const auto& [uid, pod] : found.pods)
      if (uid.starts_with("0f3a7a2e")) out += uid + " " + pod.netns;
    for (const auto& uid : found.host_network)
      if (uid.starts_with("0f3a7a2e")) out += uid + " host";
    return out;
  }
  // In a process of its own, which may not look into others where `blind`.
  static std::string scan(bool blind) {
    test::Child looker({}, [blind]() -> std::string {
      if (blind) {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct data[2] = {};
        data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective = data[CAP_TO_INDEX(CAP_SYS_ADMIN)].permitted =
            CAP_TO_MASK(CAP_SYS_ADMIN);
        if (syscall(SYS_capset, &header, data) != 0) return "cannot drop capabilities";
      }
      const auto found = procfs::PodFinder({.pinned = {kPinned}}).scan();
      return found ? describe(*found) : base::describe(found.error());
    });
    return looker.wait();
  }

  static constexpr const char* kPinned = "/tmp/weft-pinned";
  test::Cgroup top_, kubepods_, pod_cgroup_, container_;
  test::Netns pod_;
};

TEST_F(FindTest, a_running_pod_is_found_with_and_without_the_right_to_look_into_it) {
  int ready[2], end[2];
  ASSERT_TRUE(pipe(ready) == 0 && pipe(end) == 0);
  const base::Fd is_ready(ready[0]), tell_ready(ready[1]), wait_end(end[0]), tell_end(end[1]);
  {
    test::Child app({&pod_, &container_}, [&]() -> std::string {
      if (setgid(65534) != 0 || setuid(65534) != 0) return "cannot be another";
      (void)!write(tell_ready.get(), "x", 1);
      char byte = 0;
      (void)!read(wait_end.get(), &byte, 1);
      return "";
    });
    char byte = 0;
    ASSERT_EQ(read(is_ready.get(), &byte, 1), 1);
    const std::string expected = "0f3a7a2e-9c11-4d3b-8e0f-0123456789ab /tmp/weft-pinned/cni-1";
    EXPECT_EQ(scan(false), expected);
    EXPECT_EQ(scan(true), expected);
    (void)!write(tell_end.get(), "x", 1);
    EXPECT_EQ(app.wait(), "");
  }
  EXPECT_EQ(scan(false), "") << "it has ended";
}

TEST_F(FindTest, a_process_of_a_host_network_pod_is_told_as_such) {
  int end[2];
  ASSERT_EQ(pipe(end), 0);
  const base::Fd wait_end(end[0]), tell_end(end[1]);
  test::Child app({nullptr, &container_}, [&]() -> std::string {
    char byte = 0;
    (void)!read(wait_end.get(), &byte, 1);
    return "";
  });
  std::string seen;
  for (int i = 0; i < 100 && seen.empty(); ++i) {
    seen = scan(true);
    poll(nullptr, 0, 10);
  }
  EXPECT_EQ(seen, "0f3a7a2e-9c11-4d3b-8e0f-0123456789ab host");
  (void)!write(tell_end.get(), "x", 1);
  EXPECT_EQ(app.wait(), "");
}

}  // namespace
}  // namespace weft::enrol
