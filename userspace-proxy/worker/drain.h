#pragma once
#include "userspace-proxy/base/clock.h"

namespace weft::worker {

// A graceful end. For `accept` new connections are still taken, told to go elsewhere with their first answer:
// for a proxy whose listeners nobody else serves, while those who send to it learn that it ends. What still
// runs after `limit`, counted from the beginning, is cut.
struct Drain {
  base::Millis limit{30'000};
  base::Millis accept{0};
};

}  // namespace weft::worker
