#pragma once
// Source ports for connections made in a client's name.
#include <cstdint>
#include <numeric>
#include <random>

namespace weft::connect {

// Walks through all ports below the range that systems draw their own from (ip_local_port_range begins at 32768):
// none comes back before every other one was used, however fast a client connects. Workers share a pod's ports:
// each walks with a stride of its own, so that two of them meet once and part again. One thread.
class PortWalk {
 public:
  static constexpr uint32_t kFirst = 1024, kCount = 32768 - kFirst;

  PortWalk() : PortWalk(std::random_device{}()) {}
  explicit PortWalk(uint32_t seed) {
    std::minstd_rand random(seed);
    at_ = std::uniform_int_distribution<uint32_t>(0, kCount - 1)(random);
    do stride_ = std::uniform_int_distribution<uint32_t>(1, kCount - 1)(random);
    while (std::gcd(stride_, kCount) != 1);
  }

  [[nodiscard]] uint16_t next() {
    at_ = (at_ + stride_) % kCount;
    return static_cast<uint16_t>(kFirst + at_);
  }

 private:
  uint32_t at_ = 0, stride_ = 1;
};

}  // namespace weft::connect
