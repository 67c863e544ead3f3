#pragma once
#include "userspace-proxy/model/channel.h"

namespace weft::listen {

// Why a listening socket exists: kOutbound, kInbound, kAttested, kRefuse, kGateway. The agent makes them; the
// kernel half decides which arrival reaches which.
using Kind = model::ListenerKind;

}  // namespace weft::listen
