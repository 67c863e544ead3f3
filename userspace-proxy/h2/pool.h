#pragma once
// Memory for bytes under way: blocks that one worker lends and takes back, so that an idle connection holds none.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace weft::h2 {

// A stack of free objects whose content does not matter. Thread: one worker's.
template <typename T>
class Pool {
 public:
  explicit Pool(size_t keep) : keep_(keep) {}
  [[nodiscard]] std::unique_ptr<T> take() {
    ++lent_;
    if (free_.empty()) return std::make_unique_for_overwrite<T>();
    auto out = std::move(free_.back());
    free_.pop_back();
    return out;
  }
  void give(std::unique_ptr<T> object) {
    --lent_;
    if (free_.size() < keep_) free_.push_back(std::move(object));
  }
  [[nodiscard]] size_t lent() const { return lent_; }

 private:
  size_t keep_;
  size_t lent_ = 0;
  std::vector<std::unique_ptr<T>> free_;
};

struct ChainBlock {
  static constexpr size_t kRoom = 16 * 1024;
  std::unique_ptr<ChainBlock> next;
  uint32_t begin, end;
  std::array<char, kRoom> bytes;
};

// A byte queue of any length in blocks; whoever appends keeps it bounded. Nothing moves, empty holds nothing.
class Chain {
 public:
  // `account`, if any, outlives the chain: it counts the blocks of all chains that share it.
  explicit Chain(Pool<ChainBlock>& pool, uint32_t* account = nullptr) : pool_(pool), account_(account) {}
  ~Chain() { clear(); }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void append(std::string_view bytes) {
    size_ += bytes.size();
    while (!bytes.empty()) {
      if (last_ == nullptr || last_->end == ChainBlock::kRoom) grow();
      const size_t n = std::min<size_t>(bytes.size(), ChainBlock::kRoom - last_->end);
      std::memcpy(last_->bytes.data() + last_->end, bytes.data(), n);
      last_->end += static_cast<uint32_t>(n);
      bytes.remove_prefix(n);
    }
  }
  // Moves bytes from the front into `into`; how many.
  size_t take(std::span<char> into) {
    size_t taken = 0;
    while (first_ && taken < into.size()) {
      const size_t n = std::min<size_t>(into.size() - taken, first_->end - first_->begin);
      std::memcpy(into.data() + taken, first_->bytes.data() + first_->begin, n);
      taken += n;
      first_->begin += static_cast<uint32_t>(n);
      if (first_->begin == first_->end) drop_first();
    }
    size_ -= taken;
    return taken;
  }
  void clear() {
    while (first_) drop_first();
    size_ = 0;
  }

 private:
  void grow() {
    auto block = pool_.take();
    if (account_ != nullptr) ++*account_;
    block->begin = block->end = 0;
    ChainBlock* const raw = block.get();
    (last_ == nullptr ? first_ : last_->next) = std::move(block);
    last_ = raw;
  }
  void drop_first() {
    auto rest = std::move(first_->next);
    pool_.give(std::move(first_));
    if (account_ != nullptr) --*account_;
    first_ = std::move(rest);
    if (!first_) last_ = nullptr;
  }

  Pool<ChainBlock>& pool_;
  uint32_t* const account_;
  std::unique_ptr<ChainBlock> first_;
  ChainBlock* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace weft::h2
