#pragma once
#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/address.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/h2/pool.h"
#include "userspace-proxy/hbone/limits.h"
#include "userspace-proxy/observe/counters.h"

namespace weft::hbone {

// Frames and control answers gathered for one write: four TLS records, and room for the frame that crosses the mark.
struct OutBlock {
  static constexpr size_t kHigh = 64 * 1024;
  static constexpr size_t kRoom = kHigh + 40 * 1024;
  std::array<char, kRoom> bytes;
};

// What all tunnels of a worker share. One per worker, in its thread; outlives them and their streams.
struct Engine {
  Engine(base::Loop& its_loop, observe::Counters& its_counters, Limits its_limits = {})
      : loop(its_loop), counters(its_counters), limits(its_limits) {}

  static constexpr size_t kReadBlock = 64 * 1024;
  // Bytes that came in with the block under work, not yet taken by their stream: a list per stream.
  struct Fresh {
    std::string_view bytes;
    uint32_t next;
  };

  // The account of a peer. Two whose addresses fall together share one; the salt is where the engine happens to lie,
  // so that nobody outside can aim at another's.
  [[nodiscard]] uint32_t& held_of(const base::Address& peer) {
    uint64_t hash = reinterpret_cast<uintptr_t>(this);
    for (const auto byte : peer.bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3ull;
    return accounts[(hash ^ (hash >> 32)) % accounts.size()];
  }
  // Whether what waits for slow readers of this peer's bytes is within its share. A peer may have as much as is
  // still free: one alone gets half of all, and always leaves as much to the next.
  [[nodiscard]] bool may_hold(uint32_t of_peer) const {
    const size_t most = limits.worker_held / sizeof(h2::ChainBlock), all = held.lent();
    return all <= most && of_peer <= most - all;
  }

  base::Loop& loop;
  observe::Counters& counters;
  const Limits limits;
  h2::Pool<h2::ChainBlock> held{256};
  std::array<uint32_t, 1024> accounts{};  // blocks of `held` by peer
  h2::Pool<OutBlock> out{16};
  std::unique_ptr<char[]> read_block = std::make_unique_for_overwrite<char[]>(kReadBlock);
  bool read_block_busy = false;
  std::vector<Fresh> fresh;
};

}  // namespace weft::hbone
