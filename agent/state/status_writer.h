#pragma once
// Statuses as files: <directory>/<Kind>.<ns>.<name>.<writer>.json
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "agent/state/status.h"
#include "agent/state/status_sink.h"
#include "userspace-proxy/base/result.h"

namespace weft::state {

// Keeps one file a status, written aside and renamed, touched only when its text changes. Knows the files
// that a former process left (same writer): what is not claimed by the first apply() is removed then. Owner:
// main. Thread: the state's. Other writers' files are never touched.
class StatusWriter final : public StatusSink {
 public:
  // Makes the directory if it is missing. `writer`: the node's name, or "<ns>.<pod>" of a gateway.
  static base::Result<StatusWriter> open(std::filesystem::path directory, std::string writer);

  // Writes all it can; the error is the first one met. A file that failed is tried again by the next apply().
  base::Status apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) override;

  // "VirtualService.dev.httpgo.node-1.json"; what a file name cannot hold, and a dot of the writer's, is %XX.
  [[nodiscard]] static std::string file_name(const StatusKey& key, const std::string& writer);

 private:
  StatusWriter(std::filesystem::path directory, std::string writer);
  base::Status write(const std::string& name, const std::string& text);

  std::filesystem::path directory_;
  std::string writer_;
  std::map<std::string, std::string> written_;  // file name -> text; "" for what a former process left
  std::map<std::string, std::string> pending_;  // failed, to be tried again
  bool first_ = true;
};

}  // namespace weft::state
