#pragma once
// What the commands do to a cluster: apply, wait, compare, remove.
#include <functional>
#include <string>
#include <vector>

#include "agent/install/cluster.h"
#include "agent/install/settings.h"
#include "userspace-proxy/base/clock.h"

namespace weft::install {

// One line of progress for a person.
using Say = std::function<void(const std::string& line)>;

// An object that is not as it should be.
struct Trouble {
  enum class Kind : uint8_t { kMissing, kDifferent, kNotReady };
  Kind kind = Kind::kMissing;
  std::string object;                // title_of()
  std::vector<std::string> details;  // what differs, or what it waits for
};
[[nodiscard]] std::string_view name_of(Trouble::Kind kind);  // "missing"

struct Removal {
  bool purge = false;  // also definitions (every object of theirs goes along) and namespace istio-system
  bool force = false;  // go on where a node could not be cleaned
};

// Owner: a command. Thread: the caller's; every call blocks. Errors end with what to do.
class Installer {
 public:
  Installer(Cluster& cluster, const base::Clock& clock, Say say)
      : cluster_(cluster), clock_(clock), say_(std::move(say)) {}

  // In order. Definitions and namespace istio-system that others have made are left as they are; anything else of
  // others is a conflict, and then nothing is applied.
  base::Status apply(const std::vector<objects::Node>& objects);
  // kTimeout names every object that is not ready, with what its pods say.
  base::Status wait_ready(const std::vector<objects::Node>& objects, base::Nanos limit);
  // Each object against the cluster. `ready`: ask for readiness too.
  base::Result<std::vector<Trouble>> compare(const std::vector<objects::Node>& objects, bool ready);
  // What is rendered for these settings goes, in the order opposite to apply(); first every node's hooks.
  base::Status remove(const Settings& settings, const Removal& removal);
  // The settings of what is installed; the defaults if nothing is.
  base::Result<Settings> kept_settings(std::string_view version);

 private:
  base::Status find_conflicts(const std::vector<objects::Node>& objects);
  base::Status apply_one(const objects::Node& object);
  base::Result<bool> compare_one(const objects::Node& object, bool ready, std::vector<Trouble>& troubles);
  std::vector<std::string> troubles_of_pods(const objects::Node& workload);
  base::Status clean_nodes(const Settings& settings);
  base::Status clean_node(const objects::Node& pod, base::Instant until);
  base::Status forget_nodes();
  base::Status remove_one(const objects::Node& object);
  base::Status wait_gone(const objects::Node& object, base::Nanos limit);
  // Until `done` says so; kTimeout. Errors of the server meanwhile are waited out.
  bool wait(base::Nanos limit, const std::function<bool()>& done) const;

  Cluster& cluster_;
  const base::Clock& clock_;
  const Say say_;
};

}  // namespace weft::install
