#pragma once
// Typed reading and writing of pinned maps, in batches where the kernel has them. Internal to kernel/.
#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::kernel {

inline constexpr uint32_t kBatch = 512;

// Writes all of `keys`; calls failed(index, errno) for each that the map does not take.
template <typename Key, typename Value, typename Failed>
void put_all(int map, const std::vector<Key>& keys, const std::vector<Value>& values, Failed failed) {
  for (size_t done = 0; done < keys.size();) {
    const auto wanted = static_cast<uint32_t>(keys.size() - done);
    uint32_t count = wanted;
    if (wanted > 1 &&
        bpf_map_update_batch(map, keys.data() + done, values.data() + done, &count, nullptr) == 0)
      return;
    // A kernel without batches for this map leaves `count` as it was.
    done += count < wanted ? count : 0;
    if (bpf_map_update_elem(map, keys.data() + done, values.data() + done, BPF_ANY) != 0) failed(done, errno);
    ++done;
  }
}

// Deletes all of `keys`; what is not there is fine.
template <typename Key, typename Failed>
void erase_all(int map, const std::vector<Key>& keys, Failed failed) {
  for (size_t done = 0; done < keys.size();) {
    const auto wanted = static_cast<uint32_t>(keys.size() - done);
    uint32_t count = wanted;
    if (wanted > 1 && bpf_map_delete_batch(map, keys.data() + done, &count, nullptr) == 0) return;
    done += count < wanted ? count : 0;
    if (bpf_map_delete_elem(map, keys.data() + done) != 0 && errno != ENOENT) failed(done, errno);
    ++done;
  }
}

// Entry by entry: for tries, whose batches came late. Hooks do not write these maps, so no entry is missed.
template <typename Key, typename Value, typename Visit>
base::Status read_by_key(int map, Visit visit) {
  Key key{}, next{};
  const Key* from = nullptr;
  while (bpf_map_get_next_key(map, from, &next) == 0) {
    Value value{};
    if (bpf_map_lookup_elem(map, &next, &value) == 0) visit(next, value);
    key = next;
    from = &key;
  }
  if (errno != ENOENT) return base::fail_errno("read a map");
  return {};
}

// Calls visit(key, value) for all entries of a hash.
template <typename Key, typename Value, typename Visit>
base::Status read_all(int map, Visit visit) {
  uint32_t room = kBatch;
  std::vector<Key> keys(room);
  std::vector<Value> values(room);
  uint64_t position[8] = {};  // of the walk; the kernel keeps at most a key in it
  for (bool first = true;; first = false) {
    uint32_t count = room;
    const int result = bpf_map_lookup_batch(map, first ? nullptr : position, position, keys.data(),
                                            values.data(), &count, nullptr);
    const int why = result == 0 ? 0 : errno;
    if (why == ENOSPC) {  // one bucket is larger than the room: nothing was read, ask again with more
      room *= 2;
      keys.resize(room);
      values.resize(room);
      continue;
    }
    if (why != 0 && why != ENOENT) return read_by_key<Key, Value>(map, visit);
    for (uint32_t i = 0; i < count; ++i) visit(keys[i], values[i]);
    if (why == ENOENT) return {};
  }
}

}  // namespace weft::kernel
