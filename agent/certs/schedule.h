#pragma once
// When to renew and when to try again. Pure; chance is handed in as a number in [0, 1).
#include "userspace-proxy/base/clock.h"

namespace weft::certs {

// Reference identity.md 4: begins at about 1 s, doubles, +-20 %, never more than 150 s. `failures`: in a row,
// before this one.
[[nodiscard]] base::Nanos pause_after(unsigned failures, double chance);

// After "come again soon": 100 to 200 ms, kSoonTries times in a row.
inline constexpr unsigned kSoonTries = 15;
[[nodiscard]] base::Nanos soon_pause(double chance);

// Half of the validity after its begin, +-10 % so that a node's reboot does not make its pods renew in step
// for ever. CAs date certificates back by minutes: where that leaves less than a third of the remaining life
// before the renewal (certificates of some minutes), it is a third of the remaining life from now.
[[nodiscard]] base::WallTime renewal_time(base::WallTime begin, base::WallTime end, base::WallTime now,
                                          double chance);

// The last fifth of a certificate's life: somebody should know that it has not been renewed.
[[nodiscard]] base::WallTime alarm_time(base::WallTime begin, base::WallTime end);

}  // namespace weft::certs
