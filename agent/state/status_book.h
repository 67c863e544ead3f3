#pragma once
// The statuses as they are, and what changed in them.
#include <map>
#include <string>
#include <vector>

#include "agent/state/layout.h"
#include "agent/state/pods.h"
#include "agent/state/state.h"
#include "agent/state/status.h"
#include "agent/watch/event.h"

namespace weft::state {

// Node agents speak of all objects and of their own pods; a gateway's agent of what that gateway serves.
// Owner: State.
class StatusBook {
 public:
  // Warnings that came with an accepted object; empty forgets them.
  void set_findings(const objects::ObjectKey& key, std::vector<objects::Finding> findings);
  // Refusals of a file; empty forgets them.
  void set_file_findings(const std::string& file, std::vector<objects::Finding> findings);

  // Refusals of an object that came from no file; without findings it is forgotten.
  void set_object_findings(watch::ObjectFindings findings);

  // Why the Snapshot of the objects as they are is not in force; empty: it is. True if that is news.
  bool set_snapshot_problem(const std::string& problem);

  // Writes the difference to the former call into `out`.
  void update(const Store& store, const Pods& pods, const Layout& layout, const StateOptions& options,
              Build& out);

 private:
  using Statuses = std::map<StatusKey, ObjectStatus>;
  void add_accepted_findings(const Store& store, Statuses& statuses) const;
  void add_refusals(Statuses& statuses) const;

  std::map<objects::ObjectKey, std::vector<objects::Finding>> findings_;
  std::map<std::string, std::vector<objects::Finding>> file_findings_;
  std::map<objects::ObjectKey, watch::ObjectFindings> object_findings_;
  std::string snapshot_problem_;
  Statuses last_;
};

}  // namespace weft::state
