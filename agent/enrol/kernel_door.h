#pragma once
#include "agent/enrol/pod_kernel.h"
#include "agent/kernel/kernel.h"

namespace weft::enrol {

// The kernel room as enrolling sees it. Owned by main, in the kernel's thread; `kernel` outlives it.
class KernelDoor final : public PodKernel {
 public:
  explicit KernelDoor(kernel::Kernel& kernel) : kernel_(kernel) {}

  base::Result<std::map<uint64_t, weft_pod>> pods() const override { return kernel_.pods(); }
  base::Result<weft_pod> pod(uint64_t cookie) const override { return kernel_.pod(cookie); }
  base::Result<weft_attested> attested(const weft_tuple& tuple) const override {
    return kernel_.attested(tuple);
  }
  base::Status put_pod(uint64_t cookie, const weft_pod& pod) override { return kernel_.put_pod(cookie, pod); }
  base::Status remove_pod(uint64_t cookie) override { return kernel_.remove_pod(cookie); }
  base::Status attach_pod(uint64_t cookie, int netns_fd) override {
    return kernel_.attach_pod(cookie, netns_fd);
  }
  base::Status detach_pod(uint64_t cookie) override { return kernel_.detach_pod(cookie); }
  [[nodiscard]] bool is_attached(uint64_t cookie) const override {
    return kernel_.pod_link(cookie) == kernel::LinkState::kAttached;
  }
  base::Status set_listener(uint32_t slot, int socket) override { return kernel_.set_listener(slot, socket); }
  base::Status clear_listener(uint32_t slot) override { return kernel_.clear_listener(slot); }
  [[nodiscard]] bool has_listener(uint32_t slot) const override { return kernel_.has_listener(slot); }

 private:
  kernel::Kernel& kernel_;
};

}  // namespace weft::enrol
