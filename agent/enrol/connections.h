#pragma once
// Open TCP connections of one network namespace, by netlink inet_diag.
#include <vector>

#include "agent/enrol/netlink.h"

namespace weft::enrol {

// Those whose local address something inside still listens on; what the proxy accepted (its listeners are
// IP_TRANSPARENT) and what it delivered (`mark`) is not among them. `diag` is a NETLINK_SOCK_DIAG socket.
base::Result<std::vector<ArrivedConnection>> list_arrived(Netlink& diag, uint32_t mark);
// All open connections of this namespace that neither are the proxy's nor carry the mark, and that leave the namespace.
base::Result<std::vector<ArrivedConnection>> list_uncarried(Netlink& diag, uint32_t mark);
// Ends it with a reset; fine if it has ended. Needs CAP_NET_ADMIN and a kernel with INET_DIAG_DESTROY.
base::Status destroy(Netlink& diag, const ArrivedConnection& connection);

}  // namespace weft::enrol
