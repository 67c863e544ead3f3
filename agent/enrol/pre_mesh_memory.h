#pragma once
// What an agent leaves to the one after it about connections of before: who they are and since when their pod is in
// the mesh, so that a list and a drain outlive a restart. pre_mesh_files.h is the real one.
#include <cstdint>
#include <set>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::enrol {

// Of one pod. Some of the connections may have ended since: their sockets' cookies are nobody else's.
struct PreMeshRecord {
  base::Instant enrolled_at{};  // of this boot's clock, which all processes share
  uint64_t unlisted = 0;
  bool late = false;
  std::set<uint64_t> cookies;
  bool operator==(const PreMeshRecord&) const = default;
};

// By the cookie of the pod's network namespace.
class PreMeshMemory {
 public:
  virtual ~PreMeshMemory() = default;
  virtual base::Status put(uint64_t netns, const PreMeshRecord& record) = 0;
  virtual base::Result<PreMeshRecord> find(uint64_t netns) const = 0;  // kNotFound: of this boot there is none
  virtual base::Status forget(uint64_t netns) = 0;                     // fine if it is not there
  virtual void keep_only(const std::set<uint64_t>& netns) = 0;
};

}  // namespace weft::enrol
