#pragma once
// What every door of this room says about the objects.
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "agent/objects/objects.h"

namespace weft::watch {

// An object is there, or is there in a new form. `findings` are warnings, they belong to the object's status.
struct Upsert {
  objects::ObjectKey key;
  objects::ObjectPtr object;
  std::vector<objects::Finding> findings;
};
struct Remove {
  objects::ObjectKey key;
};
// All findings of a file that refuse something in it, or name a conflict with another file. Replaces what was
// said about this file before; empty: the file is fine now. Objects of a refused document keep their last
// good form.
struct FileFindings {
  std::string file;  // path below the root
  std::vector<objects::Finding> findings;
};
// The same of an object that came from no file. A Remove of the object takes it back.
struct ObjectFindings {
  objects::ObjectKey key;
  std::vector<objects::Finding> findings;
  // Of the form that is refused, for its status.
  std::string api_version, uid;
  int64_t generation = 0;
};
// The first full look at the objects is through. Sent once.
struct Synced {};
using Event = std::variant<Upsert, Remove, FileFindings, ObjectFindings, Synced>;

// One call per burst of changes, in a thread of the watch. Must not block for long.
using Sink = std::function<void(std::vector<Event> events)>;

}  // namespace weft::watch
