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

inline constexpr size_t kFrameHead = 9;  // RFC 9113 4.1

// Frames and control answers gathered for one write, and room for those that cross the mark.
struct OutBlock {
  // With the overhead of four TLS records (RFC 8446 5.2: 22 bytes each) this is one packet for the kernel. It makes one
  // of as many whole segments as 64 KiB hold with their headers; a few bytes more would travel, and be acknowledged,
  // alone: 45 segments of 1448 bytes at an MTU of 1500, 46 of 1398 in VXLAN, 7 of 8948, which is the least, at 9000.
  static constexpr size_t kHigh = 62'600 - 4 * 22;
  static constexpr size_t kFull = kHigh - 256;  // what is left then is not worth a DATA frame
  static constexpr size_t kRoom = kHigh + 40 * 1024;
  std::array<char, kRoom> bytes;
};

// What all tunnels of a worker share. One per worker, in its thread; outlives them and their streams.
struct Engine {
  Engine(base::Loop& its_loop, observe::Counters& its_counters, Limits its_limits = {})
      : loop(its_loop), counters(its_counters), limits(its_limits) {}

  // So that bulk from a peer of ours comes out in whole DATA frames.
  static constexpr size_t kReadBlock = OutBlock::kHigh;
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
