#pragma once
// The sockets that proxies get, made in the calling thread's network namespace. All of them non-blocking.
#include <cstdint>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/channel.h"

namespace weft::enrol {

// On loopback and an ephemeral port, IP_TRANSPARENT: without it the SYN-ACK of a looped connection would not
// leave, since its source address is not local.
base::Result<base::Fd> make_captive_listener(model::Family family);
// On an address of our own.
base::Result<base::Fd> make_plain_listener(const base::SocketAddress& address);
// Unconnected. kInbound: IP_TRANSPARENT and marked, may be bound to a foreign address; `mark` 0: never
// marked.
base::Result<base::Fd> make_stock_socket(model::StockKind kind, model::Family family, uint32_t mark);

}  // namespace weft::enrol
