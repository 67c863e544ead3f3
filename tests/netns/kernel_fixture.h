#pragma once
// A private bpf filesystem and a pods' cgroup: whatever a test pins dies with its process.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "agent/kernel/kernel.h"
#include "tests/support/netns_harness.h"

namespace weft::kernel {

// Mounts a bpf filesystem that only this process and its children see; once.
inline const std::string& private_bpffs() {
  static const std::string directory = [] {
    char name[] = "/tmp/weft-kernel-test-XXXXXX";
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("weft-kernel", "/tmp", "tmpfs", 0, nullptr) != 0 || mkdtemp(name) == nullptr ||
        mount("weft-kernel", name, "bpf", 0, nullptr) != 0)
      throw std::runtime_error("cannot mount a private bpf filesystem");
    return std::string(name);
  }();
  return directory;
}

class KernelTest : public testing::Test {
 protected:
  KernelTest() : cgroup_("kernel") {
    options_.pin_root = private_bpffs() + "/weft";
    options_.pods_cgroup = cgroup_.path();
  }
  ~KernelTest() override {
    kernel_.reset();
    EXPECT_TRUE(uninstall(options_.pin_root));
    EXPECT_FALSE(std::filesystem::exists(options_.pin_root));
  }

  // A new agent on the same pins.
  void start() {
    kernel_.reset();
    auto opened = Kernel::open(options_);
    if (!opened) throw std::runtime_error(base::describe(opened.error()));
    kernel_ = std::move(*opened);
  }

  [[nodiscard]] std::string path(const std::string& name) const {
    return options_.pin_root + "/v" + std::to_string(WEFT_ABI) + "/" + name;
  }
  [[nodiscard]] base::Fd pinned(const std::string& name) const {
    return base::Fd(bpf_obj_get(path(name).c_str()));
  }

  // What a link is and runs.
  [[nodiscard]] bpf_link_info link_info(const std::string& name) const {
    bpf_link_info info{};
    uint32_t size = sizeof info;
    const base::Fd link = pinned(name);
    if (bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0)
      throw std::runtime_error("no link at " + path(name));
    return info;
  }

  void expect_all_hooks_attached_once() const {
    const auto attachments = kernel_->attachments();
    EXPECT_EQ(attachments.size(), 9U);
    for (const auto& attachment : attachments) {
      EXPECT_EQ(attachment.state, LinkState::kAttached) << attachment.hook;
      EXPECT_EQ(attachment.ours, 1U) << attachment.hook;
    }
  }

  // How many programs sit at the pods' cgroup for `type`.
  [[nodiscard]] uint32_t programs_at(bpf_attach_type type) const {
    uint32_t count = 0;
    return bpf_prog_query(cgroup_.fd(), type, 0, nullptr, nullptr, &count) == 0 ? count : UINT32_MAX;
  }

  // A program that is not weft's, whatever its name says: `padding` more instructions give it another tag.
  static base::Fd strange_program(const char* name, bpf_prog_type type, bpf_attach_type attach_type,
                                  int padding = 0) {
    std::vector<bpf_insn> code;
    for (int i = 0; i <= padding; ++i)
      code.push_back({.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1});
    code.push_back({.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0});
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type);
    return base::Fd(bpf_prog_load(type, name, "GPL", code.data(), code.size(), &options));
  }
  static base::Fd strange_connect4(const char* name) {
    return strange_program(name, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
  }

  test::Cgroup cgroup_;
  Options options_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace weft::kernel
