#pragma once
// What enrolling asks of the kernel room, so that tests can put a fake in its place. kernel_door.h is the
// real one.
#include <cstdint>
#include <map>

#include "bpf/abi/weft_abi.h"
#include "userspace-proxy/base/result.h"

namespace weft::enrol {

class PodKernel {
 public:
  virtual ~PodKernel() = default;
  virtual base::Result<std::map<uint64_t, weft_pod>> pods() const = 0;
  virtual base::Result<weft_pod> pod(uint64_t cookie) const = 0;
  // Who opened this connection; kNotFound: no record of it.
  virtual base::Result<weft_attested> attested(const weft_tuple& tuple) const = 0;
  virtual base::Status put_pod(uint64_t cookie, const weft_pod& pod) = 0;
  virtual base::Status remove_pod(uint64_t cookie) = 0;                // fine if it is not there
  virtual base::Status attach_pod(uint64_t cookie, int netns_fd) = 0;  // keeps a live link
  virtual base::Status detach_pod(uint64_t cookie) = 0;                // fine if it is not there
  [[nodiscard]] virtual bool is_attached(uint64_t cookie) const = 0;
  virtual base::Status set_listener(uint32_t slot, int socket) = 0;
  virtual base::Status clear_listener(uint32_t slot) = 0;  // fine if it is empty
  [[nodiscard]] virtual bool has_listener(uint32_t slot) const = 0;
};

}  // namespace weft::enrol
