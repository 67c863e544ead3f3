#pragma once
// Where statuses go: files (status_writer.h) or the objects themselves (api_status_writer.h).
#include <vector>

#include "agent/state/status.h"
#include "userspace-proxy/base/result.h"

namespace weft::state {

// Owner: main. Thread: the state's.
class StatusSink {
 public:
  StatusSink() = default;
  virtual ~StatusSink() = default;
  StatusSink(const StatusSink&) = default;
  StatusSink& operator=(const StatusSink&) = default;
  StatusSink(StatusSink&&) = default;
  StatusSink& operator=(StatusSink&&) = default;

  // What is new or different, and whose object is gone. The error is the first one met; what failed is tried again.
  virtual base::Status apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) = 0;
};

}  // namespace weft::state
