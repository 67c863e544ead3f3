#pragma once
#include <cstdint>

namespace weft::listen {

// Why a listening socket exists. The agent makes them; the kernel half decides which arrival reaches which.
enum class Kind : uint8_t {
  kOutbound,  // looped connections of an enrolled pod: getsockname is the original destination
  kInbound,   // arrivals at an enrolled pod that the proxy judges or carries
  kRefuse,    // arrivals that policy has refused: reset at once
  kGateway,   // a port that a Gateway opens, in this process's own network
};

}  // namespace weft::listen
